use super::*;

fn folder(test: &str) -> PathBuf {
    let name = format!("commitment-probe-states-{}-{test}", process::id());
    let dir = std::env::temp_dir().join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Ids of any characters; a line break would be the end of a line.
const IDS: [&str; 4] = ["a", "__metadata__", "Łódź/\"\n{}", "🎈"];

fn state(i: usize) -> HiddenState {
    let row = |from: f32| (0..3).map(|j| from + 0.5 * j as f32 + 10.0 * i as f32).collect();
    // A byte of 10 is a line break, and one state is too large for f16.
    let large = if i == 2 { -3e7 } else { 1.0 };
    HiddenState { states: vec![row(0.0), row(large)], embedding: row(-1.0) }
}

fn write(dir: &Path) -> HiddenWriter {
    let mut writer = HiddenWriter::open(dir, Blocks::quarters(2)).unwrap();
    for (i, id) in IDS.iter().enumerate() {
        writer.append(id, &state(i)).unwrap();
    }
    writer
}

fn is_all(dir: &Path) {
    let states = HiddenStates::load(dir).unwrap().unwrap();
    let mut sorted = IDS;
    sorted.sort_unstable();
    assert_eq!(states.ids().collect::<Vec<_>>(), sorted);
    assert_eq!((states.blocks().numbers(), states.width()), (&[1, 2][..], 3));
    for (i, id) in IDS.iter().enumerate() {
        let (got, want) = (states.get(id).unwrap(), state(i));
        let numbers = |of: &HiddenState| [&of.states.concat()[..], &of.embedding[..]].concat();
        for (got, want) in numbers(&got).iter().zip(numbers(&want)) {
            assert!((got - want).abs() <= 1e-3 * want.abs(), "{id} {got} {want}");
        }
    }
    assert!(!states.has("b") && states.get("b").is_none());
}

#[test]
fn states_are_read_as_they_were_written() {
    let dir = folder("read");
    assert!(HiddenStates::load(&dir).unwrap().is_none());
    let writer = write(&dir);
    is_all(&dir);
    writer.finish().unwrap();
    is_all(&dir);
    assert!(!dir.join(PART).exists() && HiddenWriter::is_finished(&dir));
    // Going on with a finished run changes nothing.
    let before = fs::read(dir.join(WHOLE)).unwrap();
    let mut writer = write(&dir);
    let more = writer.append("another", &state(0)).unwrap_err();
    assert!(more.to_string().contains("lacks a question"), "{more}");
    writer.finish().unwrap();
    assert!(fs::read(dir.join(WHOLE)).unwrap() == before);
    fs::remove_dir_all(dir).unwrap();
}

/// Whatever byte was the last to reach the disk.
#[test]
fn states_that_are_cut_at_any_byte_are_made_whole() {
    let dir = folder("cut");
    drop(write(&dir));
    let part = fs::read(dir.join(PART)).unwrap();
    write(&dir).finish().unwrap();
    let whole = fs::read(dir.join(WHOLE)).unwrap();
    for cut in 0..=part.len() {
        fs::remove_file(dir.join(WHOLE)).unwrap();
        fs::write(dir.join(PART), &part[..cut]).unwrap();
        write(&dir).finish().unwrap();
        assert!(fs::read(dir.join(WHOLE)).unwrap() == whole, "{cut}");
    }
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = folder("refused");
    let mut writer = write(&dir);
    let refused = |writer: &mut HiddenWriter, states: Vec<Vec<f32>>, embedding: Vec<f32>| {
        let state = HiddenState { states, embedding };
        writer.append("new", &state).unwrap_err().to_string()
    };
    let row = || vec![1.0, 2.0, 3.0];
    let said = refused(&mut writer, vec![row(), vec![1.0, f32::INFINITY, 2.0]], row());
    assert!(said.contains("the states of question new hold a NaN or an infinity"), "{said}");
    for (states, embedding) in [
        (vec![row()], row()),
        (vec![row(), vec![1.0]], row()),
        (vec![vec![1.0], vec![1.0]], vec![1.0]),
    ] {
        let said = refused(&mut writer, states, embedding);
        assert!(said.contains("another shape"), "{said}");
    }
    drop(writer);
    // What begins a file is checked before the file is begun.
    let empty = folder("begun");
    let mut writer = HiddenWriter::open(&empty, Blocks::quarters(2)).unwrap();
    let said = refused(&mut writer, vec![row(), vec![1.0]], row());
    assert!(said.contains("another shape") && !empty.join(PART).exists(), "{said}");
    fs::remove_dir_all(empty).unwrap();
    let other = HiddenWriter::open(&dir, Blocks::quarters(8)).unwrap_err().to_string();
    assert!(other.contains("of the blocks [1, 2], not [2, 4, 6, 8]"), "{other}");
    let about = |numbers: &str, of: usize, width: usize| {
        format!(
            "{{\"schema\":{},\"numbers\":{numbers},\"of\":{of},\"width\":{width}}}\n",
            Schema::VERSION
        )
    };
    let state = |id: &str, number: f16| {
        let numbers = [number, f16::ONE, f16::ONE].map(f16::to_le_bytes).concat();
        [format!("{{\"id\":\"{id}\",\"scale\":[1,1]}}\n").as_bytes(), &numbers, &numbers, b"\n"]
            .concat()
    };
    let after = |id, number| [about("[1]", 1, 3).into_bytes(), state(id, number)].concat();
    fs::write(dir.join(PART), after("a", f16::ONE)).unwrap();
    assert!(HiddenStates::load(&dir).unwrap().unwrap().has("a"));
    for (file, bytes) in [
        (PART, b"{}\n".to_vec()),
        (PART, about("[]", 4, 3).into_bytes()),
        (PART, about("[0,1]", 2, 3).into_bytes()),
        (PART, about("[]", 0, 3).into_bytes()),
        (PART, about("[1]", 1, 0).into_bytes()),
        (PART, about("[1]", 1, usize::MAX / 2).into_bytes()),
        (PART, after("a", f16::NAN)),
        (WHOLE, b"nothing".to_vec()),
    ] {
        fs::write(dir.join(file), bytes).unwrap();
        let said = HiddenStates::load(&dir).unwrap_err().to_string();
        assert!(said.contains("does not hold hidden states"), "{said}");
    }
    fs::remove_dir_all(dir).unwrap();
}
