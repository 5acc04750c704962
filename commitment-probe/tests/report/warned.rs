//! What may mislead is not shown without its warning.

use commitment_probe::{Report, Scorer, Summary, Verdict};

use crate::{
    kinds::{cells, compared, never_right, report, two},
    summaries::{chance, run},
};

#[test]
fn a_headline_of_few_localised_answers_is_withheld() {
    let report = report("withheld");
    let text = report.markdown();
    for rate in ["Strict rate", "Paper's rate"] {
        for label in [rate.to_owned(), format!("{rate}: null"), format!("{rate}: excess")] {
            let [chat, shots] = cells(&text, "Overview", &[&label]).try_into().unwrap();
            assert_eq!(chat, "withheld");
            assert!(shots.ends_with(['W', 'B']), "{shots}");
        }
    }
    let line = text.replace('\n', " ");
    assert!(line.contains(
        "- **chat**: The headline is withheld: only 41 % of the answers are decided at their \
         first token. Put examples into the prompt with --shots, or, with --chat, open the answer: \
         --prefill \"The answer is:\"."
    ));
    assert!(!text.lines().any(|line| line.starts_with("--")));
    let marked = |run: &str| {
        let row = cells(&text, "Among localised answers", &["Strict rate, first step", run]);
        row[2].contains('§')
    };
    assert!(marked("chat") && !marked("with shots"));
    assert!(line.contains("§ marks rates of a run that has no headline"));

    let page = report.html();
    let cards = page
        .split_once("<ul class=\"cards\" role=\"list\">")
        .unwrap()
        .1
        .split_once("</ul>")
        .unwrap()
        .0;
    let (chat, shots) = cards.split_once("with shots").unwrap();
    assert!(
        chat.contains("only 41 % of") && chat.contains("<code>--prefill</code> &quot;The"),
        "{chat}"
    );
    assert!(!chat.contains("<strong>") && shots.matches("<strong>.").count() == 2);
    assert!(page.contains("chat: withheld, not drawn"));
}

/// What the report of this name warns of, in Markdown; HTML must say the same.
fn warnings(name: &str) -> String {
    let report = report(name);
    let text = report.markdown().replace('\n', " ");
    let Some((_, rest)) = text.split_once(" Warnings:  ") else {
        assert!(!report.html().contains("class=\"warning\""));
        return String::new();
    };
    let warnings = rest.split_once("  ### Key figures").unwrap().0.to_owned();
    let page = report.html().replace("<code>", "").replace("</code>", "");
    for warning in warnings.split("- **").skip(1) {
        let said = warning.split_once("**: ").unwrap().1.trim();
        let said = said.replace('\'', "&#39;").replace('"', "&quot;");
        assert!(page.contains(&format!("<p class=\"warning\">{said}</p>")), "{said}");
    }
    warnings
}

#[test]
fn what_may_mislead_has_a_warning() {
    for (name, warning) in [
        ("tiny", "Only 8 answers are wrong"),
        ("never-wrong", "All answers that were judged are right"),
        ("never-right", "All answers are wrong"),
        ("never-right", "Read the cases and the first prompt"),
        ("not-sampled", "1,200 of 3,000 questions were asked. Run the same command again"),
        ("chance", "the interval of the excess includes 0: the strict rate (.19, null .19)"),
        ("withheld", "The headline is withheld"),
    ] {
        let said = warnings(name);
        assert!(said.contains(warning), "{name}: {said}");
    }
    for name in ["two", "four", "one", "nothing", "grouped"] {
        assert_eq!(warnings(name), "", "{name}");
    }
    let tiny = report("tiny").markdown();
    assert!(cells(&tiny, "Overview", &["Strict rate"])[0].contains("° ["));
    let chance = report("chance").markdown();
    assert!(cells(&chance, "Overview", &["Strict rate: excess"])[0].starts_with(".00‡ ["));
}

#[test]
fn many_answers_without_a_place_are_warned_of() {
    let warned = |left: &[(Verdict, usize)], right: usize| {
        let mut run = run("run", 0.4);
        run.verdicts = left.iter().copied().collect();
        run.verdicts.extend([(Verdict::Right, right), (Verdict::Wrong, 100)]);
        run.samples = run.verdicts.values().sum();
        run.planned = run.samples;
        Report::new(vec![run]).markdown().replace('\n', " ")
    };
    let rare = [Verdict::Empty, Verdict::Cut, Verdict::NotAttempted].map(|verdict| (verdict, 9));
    let text = warned(&rare, 73);
    assert!(text.contains(
        "14 % of the answers are neither right nor wrong and in no rate: 9 empty, 9 not attempted, 9 \
         cut at the limit. Read the cases"
    ), "{text}");
    assert!(!warned(&rare[..2], 82).contains("neither right nor wrong"), "less than a tenth");
}

/// What has a warning of its own, with what to do, is not counted up again in another.
#[test]
fn no_answer_that_is_left_out_is_warned_of_twice() {
    for verdict in [Verdict::Unmeasured, Verdict::Empty, Verdict::Cut, Verdict::NotAttempted] {
        let mut run = run("run", 0.4);
        run.verdicts = [(verdict, 300), (Verdict::Right, 500), (Verdict::Wrong, 500)].into();
        run.samples = 1300;
        run.planned = run.samples;
        let text = Report::new(vec![run]).markdown().replace('\n', " ");
        let warnings = text.split_once(" Warnings:  ").unwrap().1.split_once("  ### ").unwrap().0;
        assert_eq!(warnings.matches("- **").count(), 1, "{warnings}");
        assert!(warnings.contains("300 answers (23 %)") && warnings.contains("--"), "{warnings}");
    }
}

#[test]
fn every_warning_says_what_to_do() {
    let changed = |change: &dyn Fn(&mut Summary)| {
        let mut run = run("run", 0.4);
        change(&mut run);
        Report::new(vec![run]).markdown().replace('\n', " ")
    };
    let judged = |run: &mut Summary, verdict| {
        run.verdicts = [(verdict, run.samples)].into();
    };
    let neither = changed(&|run| judged(run, Verdict::Cut));
    assert!(neither.contains("there are no rates. Read the cases and the first prompt"));
    let right = changed(&|run| judged(run, Verdict::Right));
    assert!(right.contains("no wrong one to measure. Ask harder questions"), "{right}");
    let begun = changed(&|run| run.planned += 1);
    assert!(begun.contains("questions were asked. Run the same command again to go on."));
    let chance = report("chance").markdown().replace('\n', " ");
    let (_, said) = chance.split_once("the interval of the excess includes 0").unwrap();
    assert!(said.split_once(" Ask more questions.").unwrap().0.len() < 300, "{said}");
}

/// One answer of 775 that another scorer accepts is no reason to look at the scorer alone.
#[test]
fn a_scorer_is_named_only_where_it_accepts_many_answers() {
    let warned = |rate: f64| {
        let mut never = never_right();
        for of in never.by_scorer.values_mut().flatten() {
            of.value = 1.0;
        }
        if let Some(Some(of)) = never.by_scorer.get_mut(&Scorer::Contains) {
            of.value = rate;
        }
        Report::new(vec![never]).markdown().replace('\n', " ")
    };
    let prompt = "Read the cases and the first prompt, put examples before the question (--shots)";
    for (rate, is_named) in [(774.0 / 775.0, false), (0.81, false), (0.8, true), (0.3, true)] {
        let text = warned(rate);
        assert!(text.contains(prompt), "{text}");
        assert_eq!(text.contains("would accept"), is_named, "{rate}");
    }
    assert!(
        warned(0.3).contains("The scorer contains would accept 70 % of the answers (--match).")
    );
}

#[test]
fn answers_that_something_can_be_done_about_are_warned_of() {
    let warned = |verdict: Verdict, number: usize| {
        let mut run = run("run", 0.4);
        run.verdicts = [(verdict, number), (Verdict::Right, 500), (Verdict::Wrong, 500)].into();
        run.samples = run.verdicts.values().sum();
        run.planned = run.samples;
        Report::new(vec![run]).markdown().replace('\n', " ")
    };
    for (verdict, what) in [
        (
            Verdict::Cut,
            "were cut at the limit and are neither right nor wrong: ask with a larger --max-tokens",
        ),
        (
            Verdict::Unmeasured,
            "are unmeasured, since no form can begin an answer after the prompt: let the --template",
        ),
        (Verdict::NotAttempted, "decline and are in no rate: a --template"),
        (Verdict::Empty, "are empty and in no rate: the model ends"),
    ] {
        let text = warned(verdict, 60);
        assert!(text.contains(&format!("60 answers (6 %) {what}")), "{text}");
        assert!(!warned(verdict, 50).contains("50 answers ("), "{verdict}");
    }
    let mut few = run("few", 0.4);
    few.verdicts = [(Verdict::Right, 9), (Verdict::Wrong, 500)].into();
    let text = Report::new(vec![few]).markdown().replace('\n', " ");
    assert!(text.contains("Only 9 answers are right: what is compared"), "{text}");
}

#[test]
fn warnings_of_a_comparison_come_first() {
    let report = compared();
    let text = report.markdown();
    let section = text.split_once("## Comparisons\n").unwrap().1;
    let warned = section.find("- **qwen 0.5B → qwen 72B**: The prompts differ.").unwrap();
    assert!(warned < section.find('|').unwrap());
    assert!(section.contains("- **qwen 0.5B → qwen 72B**: The scorers differ."));

    let row = |labels: &[&str]| cells(&text, "Differences", labels);
    assert_eq!(
        row(&["Being wrong", "qwen 0.5B → qwen 7B"]),
        ["1,140", "−.08 [−.09, −.07] B", "61", "1,024", "0.031"]
    );
    assert_eq!(
        row(&["P-mass", "qwen 0.5B → qwen 72B⚠"]),
        ["1,140", ".03 [.02, .04] B", "–", "–", "–"]
    );
    assert_eq!(row(&["Failing, paper's rate", "qwen 0.5B → qwen 7B"])[1], ".12 [.10, .14] B");
    assert_eq!(row(&["Failing, strict rate", "qwen 0.5B → qwen 72B⚠"])[1], ".07 [.05, .10] B");
    assert_eq!(
        cells(&text, "Trends with size", &["Paper's rate"]),
        [".06", "< 0.001", "3", "10,000"]
    );
    assert_eq!(
        cells(&text, "Trends with size", &["Strict rate"]),
        ["−.01", "0.217", "3", "10,000"]
    );
    assert_eq!(cells(&text, "Sizes", &["qwen 72B"]), ["72,706,203,648"]);
    assert_eq!(cells(&text, "Sizes", &["qwen 7B"]), ["–"]);

    let page = report.html();
    let section = page.split_once("<section id=\"comparisons\"").unwrap().1;
    let warned = section.find("<li><b>qwen 0.5B → qwen 72B</b>: The prompts differ.</li>").unwrap();
    assert!(warned < section.find("<table").unwrap());
    assert!(!two().markdown().contains("Comparisons") && !two().html().contains("comparisons"));
    assert!(!two().json().contains("comparisons") && !two().json().contains("trends"));
}

#[test]
fn rates_without_a_null_are_warned_of() {
    let mut run = chance("run");
    for failures in [&mut run.failures, &mut run.all_failures] {
        for rate in [&mut failures.first.paper, &mut failures.first.strict] {
            rate.null = None;
            rate.excess = None;
        }
    }
    let text = Report::new(vec![run]).markdown();
    assert!(text.contains("The rates have no null"), "{text}");
}

#[test]
fn few_localised_wrong_answers_are_warned_of() {
    let warned = |wrong: usize| {
        let run = run("run", 0.4);
        let mut failures = run.failures.clone();
        failures.wrong = wrong;
        Report::new(vec![Summary { failures, ..run }]).markdown()
    };
    assert!(warned(29).contains("Only 29 localised answers are wrong"));
    assert!(warned(1).contains("Only 1 localised answer is wrong"));
    assert!(warned(0).contains("No localised answer is wrong"));
    assert!(!warned(30).contains("localised answers are wrong:"));
}

/// No number of the text may contradict that the headline is withheld.
#[test]
fn a_share_just_below_the_limit_is_not_rounded_up_to_it() {
    let text = Report::new(vec![crate::summaries::withheld("run", 911)]).markdown();
    assert!(text.contains("only 79 % of the answers"), "{text}");
}

/// A summary that was read from a file may hold anything.
#[test]
fn no_number_of_a_file_is_too_large() {
    let mut run = run("run", 0.4);
    run.verdicts.values_mut().for_each(|number| *number = usize::MAX);
    run.uninformative.values_mut().for_each(|questions| *questions = usize::MAX);
    run.samples = 0;
    run.failures.wrong = usize::MAX;
    for pair in &mut run.concentration.matched.pairs {
        pair.failure.mass = 1e300;
        pair.right.concentration = -1e300;
    }
    let report = Report::new(vec![run.clone(), run]);
    assert!(report.html().contains("18,446,744,073,709,551,615"));
    assert!(report.markdown().contains("are neither right nor wrong"));
}
