use super::*;

fn names() -> Vec<String> {
    vec![
        "landfall-webhook.landfall-system.svc".to_owned(),
        "127.0.0.1".to_owned(),
    ]
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// How it stands, in a word.
fn word(kept: &Kept, names: &[String], now: &str) -> String {
    match kept.standing(names, at(now), &provider()) {
        Standing::Good(_) => "good".to_owned(),
        Standing::Ending(_) => "ending".to_owned(),
        Standing::Useless(why) => why,
    }
}

const NOW: &str = "2026-03-01T12:00:00Z";

#[test]
fn a_certificate_is_good_then_ends_and_then_is_of_no_use() {
    let kept = Kept::make(&names(), at(NOW), None).unwrap();
    assert_eq!(word(&kept, &names(), NOW), "good");
    // Clocks differ.
    assert_eq!(word(&kept, &names(), "2026-02-28T12:30:00Z"), "good");
    assert_eq!(word(&kept, &names(), "2026-04-28T00:00:00Z"), "good");
    assert_eq!(word(&kept, &names(), "2026-05-01T12:00:00Z"), "ending");
    for other in ["2026-02-27T12:00:00Z", "2026-05-31T00:00:00Z"] {
        let why = word(&kept, &names(), other);
        assert!(why.starts_with("tls.crt: "), "{why}");
    }
    let why = word(&kept, &["landfall-webhook.other.svc".to_owned()], NOW);
    assert!(why.starts_with("tls.crt: "), "{why}");
}

#[test]
fn what_is_no_certificate_is_told_without_what_it_is() {
    let good = Kept::make(&names(), at(NOW), None).unwrap();
    let other = Kept::make(&names(), at(NOW), None).unwrap();
    let secret = "c2VjcmV0IHdvcmRz";
    let with = |change: fn(&mut Kept, &Kept)| {
        let mut kept = good.clone();
        change(&mut kept, &other);
        kept
    };
    for (kept, words) in [
        (
            with(|kept, _| kept.key = "c2VjcmV0IHdvcmRz".to_owned()),
            "tls.key holds no key that can be read",
        ),
        (
            with(|kept, _| kept.certificate = "c2VjcmV0IHdvcmRz".to_owned()),
            "tls.crt holds no certificate",
        ),
        (
            with(|kept, other| kept.key.clone_from(&other.key)),
            "tls.key is not the key of tls.crt",
        ),
        (with(|kept, _| kept.authorities = String::new()), "ca.crt: "),
        (
            with(|kept, other| kept.authorities.clone_from(&other.authorities)),
            "tls.crt: ",
        ),
    ] {
        let why = word(&kept, &names(), NOW);
        assert!(why.starts_with(words), "{why}: {words}");
        assert!(!why.contains(secret), "{why}");
    }
    assert!(!format!("{good:?}").contains("PRIVATE"));
}

#[test]
fn the_authority_before_stays_known_and_the_one_before_that_does_not() {
    let first = Kept::make(&names(), at(NOW), None).unwrap();
    let second = Kept::make(&names(), at(NOW), Some(&first)).unwrap();
    let third = Kept::make(&names(), at(NOW), Some(&second)).unwrap();
    let count = |kept: &Kept| certificates(&kept.authorities).len();
    assert_eq!([count(&first), count(&second), count(&third)], [1, 2, 2]);
    assert!(knows_all(&second.authorities, &first.authorities));
    assert!(!knows_all(&third.authorities, &first.authorities));
    assert!(!knows_all(&first.authorities, &second.authorities));
    assert!(!knows_all("", &first.authorities) && !knows_all(&first.authorities, ""));
    for kept in [&second, &third] {
        assert_eq!(word(kept, &names(), NOW), "good");
    }
    // Whoever is served the one before, and knows the new bundle, goes on.
    let before = Kept {
        authorities: second.authorities.clone(),
        ..first.clone()
    };
    assert_eq!(word(&before, &names(), NOW), "good");
    assert_eq!(Kept::of(Some(&third.data())), Some(third));
    assert_eq!(Kept::of(Some(&BTreeMap::new())), None);
}

#[test]
fn only_webhooks_that_do_not_know_it_are_written() {
    let kept = Kept::make(&names(), at(NOW), None).unwrap();
    let bundle = ByteString(kept.authorities.clone().into_bytes());
    let webhook = |name: &str, bundle: Option<&ByteString>| {
        serde_json::json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"caBundle": bundle},
        })
    };
    let configuration = |webhooks: Vec<serde_json::Value>| {
        serde_json::from_value(serde_json::json!({"metadata": {"resourceVersion": "7"}, "webhooks": webhooks})).unwrap()
    };
    let known = configuration(vec![webhook("a", Some(&bundle))]);
    assert_eq!(publish::missing(&known, &kept.authorities), None);
    let other = configuration(vec![webhook("a", Some(&bundle)), webhook("b", None)]);
    assert_eq!(
        publish::missing(&other, &kept.authorities),
        Some(serde_json::json!({
            "metadata": {"resourceVersion": "7"}, "webhooks": [{"name": "b", "clientConfig": {"caBundle": bundle}}],
        }))
    );
}
