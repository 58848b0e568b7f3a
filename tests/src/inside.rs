//! Tests that need a machine of their own: each calls itself once more in namespaces, where it may lay files over the
//! machine's and bind any port.

use std::{env, fs, os::unix::fs::PermissionsExt, process::Command};

/// Says to the inner call that it is one.
const INSIDE: &str = "VISIT_TEST_INSIDE";

/// Lays the files over the machine's, two arguments for each, and becomes the test.
const SCRIPT: &str = "ip link set lo up || exit
while [ \"$1\" != -- ]; do mount --bind \"$1\" \"$2\" || exit; shift 2; done
shift; exec \"$@\"";

/// Runs the rest of this test with these files, by path and content, in a network that has `lo` alone; true inside. The
/// module is `module_path!()`.
pub fn inside(module: &str, test: &str, files: &[(&str, &str)]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--mount", "--uts", "sh", "-c", SCRIPT, "sh"]);
    for (nth, (path, content)) in files.iter().enumerate() {
        let file = folder.path().join(nth.to_string());
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        command.arg(file).arg(path);
    }
    // A test is called by its path within the program.
    let (_, module) = module.split_once("::").expect("the program's name goes first");
    let output = command
        .arg("--")
        .arg(env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
        .env(INSIDE, "1")
        .env_remove("RES_OPTIONS")
        .env_remove("LOCALDOMAIN")
        .output()
        .expect("unshare is needed: apt-get install util-linux");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
    false
}
