//! The gate on instruction counts, on made-up ones: what it lets pass, and what it says of what it does not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use test_case::test_case;

/// A baseline, and what was counted.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new(baseline: &str, counts: &str) -> Self {
        let scene = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::write(scene.baseline(), baseline).expect("a file");
        fs::write(scene.counts(), counts).expect("a file");
        scene
    }

    fn baseline(&self) -> PathBuf {
        self.folder.path().join("baseline")
    }

    fn counts(&self) -> PathBuf {
        self.folder.path().join("counts")
    }

    /// Whether the gate lets it pass, and all that it says.
    fn run(&self, bless: bool) -> (bool, String) {
        let output = Command::new(super::workspace().join("bench/gate"))
            .args([self.counts(), self.baseline()])
            .env("AEGIS_BLESS", if bless { "1" } else { "" })
            .output()
            .expect("the gate runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("text"))
    }
}

const BASELINE: &str = "# A remark.\ndecide.rules_10 200000\nparse.payment 10000\n";

#[test_case("decide.rules_10 200000\nparse.payment 10000\n", &["none of 2 benchmarks"]; "nothing changed")]
#[test_case("decide.rules_10 206000\nparse.payment 10300\n", &["none of 2 benchmarks"]; "grown by no more than 3 percent")]
#[test_case("decide.rules_10 194000\nparse.payment 9700\n", &["none of 2 benchmarks"]; "fallen by no more than 3 percent")]
fn passes(counts: &str, said: &[&str]) {
    let (passed, text) = Scene::new(BASELINE, counts).run(false);
    assert!(passed, "{text}");
    assert!(said.iter().all(|part| text.contains(part)), "{text}");
}

#[test_case(
    "decide.rules_10 206001\nparse.payment 10000\n",
    &["decide.rules_10 grew from 200000 to 206001 instructions (+3.00 %)"];
    "grown by a little more than 3 percent"
)]
#[test_case(
    "decide.rules_10 410000\nparse.payment 20000\n",
    &["decide.rules_10 grew from 200000 to 410000 instructions (+105.00 %)", "parse.payment grew from 10000 to 20000"];
    "all of them grown"
)]
#[test_case(
    "decide.rules_10 200000\nparse.payment 9699\n",
    &["parse.payment fell from 10000 to 9699 instructions (-3.01 %)", "bless it"];
    "fallen by a little more than 3 percent"
)]
#[test_case("decide.rules_10 200000\n", &["parse.payment is gone, it had 10000 instructions"]; "one is missing")]
#[test_case(
    "decide.rules_10 200000\nparse.order 70\nparse.payment 10000\n",
    &["parse.order is new, with 70 instructions"];
    "one is new"
)]
#[test_case(
    "decide.rules_10 100000\nparse.order 10400\n",
    &["decide.rules_10 fell", "parse.order is new", "parse.payment is gone", "faults: 3"];
    "renamed and fallen"
)]
#[test_case("", &["is no list"]; "nothing was counted")]
#[test_case("decide.rules_10 200000\nparse.payment none\n", &["2:parse.payment none", "is no list"]; "no number")]
#[test_case("decide.rules_10 200000\nparse.payment 0\n", &["is no list"]; "no instructions at all")]
#[test_case(
    "decide.rules_10 200000\nparse.payment 10000\nparse.payment 20000\n",
    &["counted twice: parse.payment"];
    "counted twice"
)]
fn fails(counts: &str, said: &[&str]) {
    let scene = Scene::new(BASELINE, counts);
    let (passed, text) = scene.run(false);
    assert!(!passed, "{text}");
    assert!(said.iter().all(|part| text.contains(part)), "{text}");
    assert_eq!(fs::read_to_string(scene.baseline()).expect("the baseline"), BASELINE, "it is only read");
}

#[test]
fn without_a_baseline_it_fails() {
    let scene = Scene::new(BASELINE, "parse.payment 10000\n");
    fs::remove_file(scene.baseline()).expect("the baseline was there");
    let (passed, text) = scene.run(false);
    assert!(!passed && text.contains("AEGIS_BLESS=1 bench/gate writes it"), "{text}");
}

#[test]
fn blessed_counts_pass_from_then_on() {
    let scene = Scene::new(BASELINE, "parse.order 70\ndecide.rules_10 410000\n");
    assert!(!scene.run(false).0);
    assert!(scene.run(true).0);
    let blessed = fs::read_to_string(scene.baseline()).expect("the baseline");
    assert!(blessed.ends_with("\ndecide.rules_10 410000\nparse.order 70\n"), "{blessed}");
    let (passed, text) = scene.run(false);
    assert!(passed, "{text}");
}

#[test]
fn nonsense_is_not_blessed() {
    let scene = Scene::new(BASELINE, "parse.payment\n");
    assert!(!scene.run(true).0);
    assert_eq!(fs::read_to_string(scene.baseline()).expect("the baseline"), BASELINE);
}

/// The committed baseline has a form, and no benchmark twice.
#[test]
fn the_baseline_is_a_list_of_counts() {
    let text = fs::read_to_string(super::workspace().join("bench/baseline.txt")).expect("the baseline is committed");
    let counts: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let (passed, said) = Scene::new(&text, &(counts.join("\n") + "\n")).run(false);
    assert!(passed, "{said}");
}
