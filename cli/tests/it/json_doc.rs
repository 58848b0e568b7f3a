//! The questions in `docs/json.md` are asked of a real record, and have answers.

use std::{fs, path::Path, process::Command};

#[needs::tools(jq)]
#[test]
fn each_question_in_docs_json_has_an_answer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("../docs/json.md")).unwrap();
    let record = root.join("tests/journeys/secure.json");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(record, folder.path().join("visit.json")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("jq ")).collect();
    assert_eq!(lines.len(), 10);
    for line in lines {
        let output = Command::new("sh").args(["-c", line]).current_dir(folder.path()).output().unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {wrong} (jq is needed: apt-get install jq)");
        // A visit in which nothing went wrong has no causes.
        assert!(!said.trim().is_empty() || line.contains("causes"), "{line}: no answer");
        assert!(!said.contains("null null"), "{line}: {said}");
    }
}
