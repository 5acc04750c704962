#!/usr/bin/env python3
"""What lm-evaluation-harness asks and how it scores: its own tasks on made-up questions.

    pip install -r models/tests/requirements.txt -r commitment-probe/tests/probe/lm_eval/requirements.txt
    python3 commitment-probe/tests/probe/lm_eval/witness.py FOLDER

writes FOLDER/lm_eval.json. The tasks `triviaqa` and `nq_open` are read from the package; only where
their questions come from is replaced. The model is a list of answers that are hard to cut or to score.
Nothing is fetched.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
CACHE = tempfile.TemporaryDirectory()
os.environ["HF_HOME"] = CACHE.name

import lm_eval  # noqa: E402
import yaml  # noqa: E402
from lm_eval.api.model import LM  # noqa: E402
from lm_eval.models.utils import (  # noqa: E402
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)

TASKS = {"lm-eval:triviaqa": "triviaqa/default.yaml", "lm-eval:nq_open": "nq_open/nq_open.yaml"}

EOS = "</s>"

# A question and the forms of its answer: as datasets have them, and as none should.
ASKED = [
    ("Who walled the city of Orn?", ["Queen Ilse", "Ilse of Orn", "ILSE"]),
    ("who walled the city of orn", ["Ilse"]),
    ("In which year did the ferry sink? ", ["1,204", "1204", "the year 1204"]),
    (" Which  bird sings in  'The Marsh'", ["A Grey Bittern", "The Bittern", "bittern"]),
    ('"Sine die" is the motto of whom??', ['The "Idle" Club', "Idle Club's", "idle"]),
    ("Wer baute die Brücke über die Öre?", ["Jürgen Weiß", "J. Weiss", "JÜRGEN WEISS"]),
    ("What’s the “old” name of Tarn—the town", ["Tarn’s End", "Tarns End", "“Tarn”"]),
    ("İzmaran nerede?", ["İZMARAN", "izmaran", "I\u0307zmaran"]),
    ("Which band recorded 'The The'?", ["The The", "the"]),
    ("Name the vitamin of fern leaves", ["A", "Vitamin A", "a"]),
    ("Which company made the An-2000?", ["An-2000 Works", "an An", "U.S.S. Works, Inc."]),
    ("{{question}} is what in a template?", ["{{ answer }}", "a {% placeholder %}"]),
    ("Which path leads to C:\\new?", ["C:\\new\\table", "it's \"both\"", "tab\there"]),
    ("Which line\nbreaks?", ["line\nbreak", "line break", " line "]),
    ("Δημιουργός του Ορν;", ["ΟΔΥΣΣΕΥΣ", "οδυσσευς", "Οδυσσεύς"]),
    ("東の川は何ですか？", ["東川", "東川。", "ひがしがわ"]),
    ("How many oars, in all, has the Lark?", ["42", "forty-two", "42.5"]),
    ("What", ["", "?", "..."]),
    ("Who was 'the Baker'", ["Theo the Baker", "Theothe Baker", "Anna"]),
    ("Which sea is west of Orn .", ["The  Quiet Sea", "Quiet\u00a0Sea", "Quiet Sea "]),
    ("What is 5+3-2 in base ten?", ["6", "six", "$6"]),
    ("Which rock is straße made of?", ["STRASSE", "straße", "basalt"]),
    ("Which flag has 🏴 alone", ["🏴", "flag 🏴", "the 🏴"]),
    ("Repeated row?", ["Same", "the same"]),
    ("Repeated row?", ["Same", "the same"]),
    ("Repeated row?", ["Same", "the same"]),
    ("Repeated row?", ["Same"]),
    ("Repeated row?", ["Same", "the same"]),
    ("Who sang last?", ["A the An choir", "the a choir", "choir"]),
    ("Who asked?", ["nobody"]),
]

# Those that are shown, of which some are among those that are asked.
SHOWN = ASKED[23:25] * 2 + [
    ("Who dug the canal of Reth?", ["(Old) Reth", "Reth", "Baron Reth"]),
    ("which moon is the smallest", ["Pell"]),
    ("Where is the Hall of Looms? ", [" Vey, on the hill", "Vey"]),
    ("When did the first Fair open?", ["1,066", "1066"]),
    ("“Who” wrote ‘Salt’?", ["L’Ambre", "Ambre"]),
    ("What’s Ægir’s drink?", ["Öl", "ale"]),
    ("Which number follows nine?", ["10", "ten"]),
    ("Which key opens the gate?", ["it's the \"third\"", "third"]),
    ("What ends in a stop.", ["A stop.", "stop"]),
    ("Is [this] a list?", ["['no']", "no"]),
    ("Blank?", ["", "nothing"]),
    ("Path?", ["a\\b", "a/b"]),
    ("Line?", ["one\ntwo", "one"]),
    ("川？", ["東川", "川"]),
    ("Last of the small ones", ["Omega"]),
    ("Which letter is silent in 'knot'", ["k", "K"]),
]

# Python draws from many in another way than from few, and what is few depends on how many it draws.
MANY = SHOWN + [(f"Which house has the number {i}?", [f"House {i}", str(i)]) for i in range(600)]

# What a model may say where `form` would be right.
ANSWERS = [
    " {form}",
    "{form}",
    " {form}\nQ: What else?\nA: Nothing",
    " The {form}.",
    " the {form}, or so",
    " {form}" + EOS,
    "\n{form}",
    " \u00a0{form}\u2009\t",
    "\x1c{form}\x1f",
    '"{form}"',
    " {form}!?",
    " an {form} ",
    " A{form}",
    " {form}\u3000",
    "",
    " ",
    ".",
    " {form} and {form}",
    " \u200b{form}",
    "\r{form}\r\nmore",
    " {form}\u2028more",
    " a the {form}",
    "{form}" + EOS + ".{form}",
]


class Listed(LM):
    """Says what is listed, and cuts it as the model of transformers does."""

    def __init__(self, turn):
        super().__init__()
        self.turn = turn
        self.said = {}

    tokenizer_name = "messages"

    def chat_template(self, chat_template=False):
        return "messages"

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
        assert add_generation_prompt
        return json.dumps(chat_history)

    def generate_until(self, requests, disable_tqdm=False):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        context, arguments = request.args
        arguments = normalize_gen_kwargs(arguments)
        until = list(arguments["until"])
        number = request.doc_id * 5 + self.turn * 7
        forms = request.doc["answer"]
        forms = forms["aliases"] if isinstance(forms, dict) else forms
        form = forms[number % len(forms)]
        case = [str, str.lower, str.upper][number // 11 % 3]
        raw = ANSWERS[number % len(ANSWERS)].replace("{form}", case(form))
        stops = handle_stop_sequences(list(until), eos=EOS)
        response = postprocess_generated_text(raw, stops, None)
        assert not arguments["do_sample"] and arguments["temperature"] == 0.0
        self.said[request.doc_id] = {
            "context": context,
            "until": until,
            "max_gen_toks": arguments["max_gen_toks"],
            "raw": raw,
            "response": response,
        }
        return response

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError


def trivia(number, question, forms):
    """A row of TriviaQA's, whose value is among the aliases of none."""
    answer = {"aliases": forms, "normalized_aliases": [], "value": "V " + forms[-1], "type": "x"}
    return {"question": question, "question_id": f"qz_{number}", "answer": answer}


def natural(_, question, forms):
    """A row of Natural Questions, which have no names."""
    return {"question": question, "answer": forms}


def rows(preset, pairs):
    """A file of such rows, equal for equal pairs."""
    row = trivia if preset == "lm-eval:triviaqa" else natural
    lines = [row(sum(map(ord, str(pair))), *pair) for pair in pairs]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def task(preset, train, test):
    """lm-eval's own, with another source of its rows."""
    path = Path(lm_eval.__file__).parent / "tasks" / TASKS[preset]
    config = yaml.safe_load(path.read_text())
    config.pop("dataset_name", None)
    files = {"train": str(train), "validation": str(test)}
    return config | {"dataset_path": "json", "dataset_kwargs": {"data_files": files}}


def run(turn, preset, folder, train, num_fewshot, chat=None, limit=None):
    """All requests of a run, and what became of the answers."""
    config = task(preset, folder / f"{train}.jsonl", folder / "test.jsonl")
    model = Listed(turn)
    results = lm_eval.simple_evaluate(
        model,
        tasks=[config],
        num_fewshot=num_fewshot,
        limit=limit,
        apply_chat_template=chat is not None,
        fewshot_as_multiturn=chat == "turns",
        bootstrap_iters=0,
    )
    samples = []
    for sample in results["samples"][config["task"]]:
        said = model.said[sample["doc_id"]]
        assert sample["resps"] == [[said["response"]]]
        verdict = {"filtered": sample["filtered_resps"][0], "exact_match": sample["exact_match"]}
        samples.append({"doc_id": sample["doc_id"]} | said | verdict)
    return {
        "preset": preset,
        "train": train,
        "num_fewshot": num_fewshot,
        "chat": chat,
        "limit": limit,
        "samples": samples,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    written = {"lm_eval": lm_eval.__version__, "rows": {}, "runs": []}
    for preset in TASKS:
        files = folder / preset.partition(":")[2]
        files.mkdir(parents=True, exist_ok=True)
        of_preset = {name: rows(preset, pairs) for name, pairs in LISTS.items()}
        for name, text in of_preset.items():
            (files / f"{name}.jsonl").write_text(text)
        written["rows"][preset] = of_preset
        for turn, arguments in enumerate(RUNS):
            written["runs"].append(run(turn, preset, files, **arguments))
    (folder / "lm_eval.json").write_text(json.dumps(written, indent=1) + "\n")


LISTS = {"test": ASKED, "few": SHOWN, "some": MANY[:60], "many": MANY}

RUNS = [
    {"train": "few", "num_fewshot": 0},
    {"train": "few", "num_fewshot": 5},
    {"train": "few", "num_fewshot": 5, "limit": 7},
    {"train": "few", "num_fewshot": 12},
    {"train": "some", "num_fewshot": 3},
    {"train": "some", "num_fewshot": 5},
    {"train": "many", "num_fewshot": 1},
    {"train": "many", "num_fewshot": 5},
    {"train": "few", "num_fewshot": 0, "chat": "turns"},
    {"train": "few", "num_fewshot": 5, "chat": "turns"},
    {"train": "few", "num_fewshot": 5, "chat": "one"},
]


if __name__ == "__main__":
    main()
