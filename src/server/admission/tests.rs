use super::words::{Refusal, Verdict};
use crate::api::reasons::Reason;
use crate::controllers::wakes::{Key, OwnKind};
use crate::template::fault::Fault;

fn key() -> Key {
    Key {
        kind: OwnKind::Component,
        namespace: "shop".to_owned(),
        name: "orders".to_owned(),
    }
}

fn faults(number: usize, length: usize) -> Refusal {
    let fault = |number| Fault {
        reason: Reason::InvalidParameters,
        resource: None,
        field: format!("parameters.p{number}{}", "x".repeat(length)),
        message: format!("is wrong{}", "!".repeat(length)),
    };
    Refusal {
        faults: (0..number).map(fault).collect(),
    }
}

#[test]
fn one_fault_is_a_sentence_and_several_are_a_list() {
    let one = faults(1, 0).status(&key());
    assert_eq!(one.message, "spec.template.parameters.p0: is wrong");
    assert_eq!((one.code, one.reason.as_str()), (422, "Invalid"));
    let details = one.details.unwrap();
    assert_eq!((details.kind.as_str(), details.name.as_str()), ("Component", "orders"));
    assert_eq!(details.causes[0].field, "spec.template.parameters.p0");
    let two = faults(2, 0).status(&key());
    assert_eq!(
        two.message,
        "2 faults:\n- spec.template.parameters.p0: is wrong\n- spec.template.parameters.p1: is wrong"
    );
    let refused = Verdict::refused(Reason::NotAllowed, "no")
        .refusal
        .unwrap()
        .status(&key());
    assert_eq!(
        (refused.code, refused.reason.as_str(), refused.message.as_str()),
        (403, "Forbidden", "no")
    );
}

#[test]
fn however_many_and_long_they_are_the_answer_is_bounded() {
    for (number, length) in [(100, 0), (100, 200), (100, 100_000), (10_000, 0), (10_000, 5000)] {
        let status = faults(number, length).status(&key());
        assert!(
            status.message.len() < 26_000,
            "{number} of {length}: {} bytes",
            status.message.len()
        );
        let told = status.details.unwrap().causes.len();
        assert!(told >= number.min(100), "{number} of {length}: {told}");
        assert_eq!(status.message.contains(" more"), told < number);
    }
}

#[test]
fn warnings_are_as_many_and_as_long_as_the_apiserver_passes_on() {
    let verdict = Verdict {
        refusal: None,
        warnings: (0..100)
            .map(|number| format!("{number}\n{}", "ä".repeat(1000)))
            .collect(),
    };
    let warnings = verdict.bounded_warnings();
    assert!(warnings.iter().map(|one| one.chars().count()).sum::<usize>() < 4096);
    assert!(warnings.iter().all(|one| !one.contains('\n')), "a header is one line");
    assert_eq!(warnings.last().unwrap(), "and 93 more warnings");
}
