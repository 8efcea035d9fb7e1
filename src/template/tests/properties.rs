//! What holds for any template and any parameters.

use proptest::prelude::*;

use super::*;

/// A template of config maps, each with its dependencies among the earlier ones, in a shuffled order.
fn graph() -> impl Strategy<Value = (Vec<usize>, Vec<Vec<usize>>)> {
    (2_usize..12).prop_flat_map(|count| {
        let needs = (0..count)
            .map(|place| {
                prop::collection::btree_set(0..place.max(1), 0..3).prop_map(|set| set.into_iter().collect::<Vec<_>>())
            })
            .collect::<Vec<_>>();
        (Just((0..count).collect::<Vec<_>>()).prop_shuffle(), needs)
    })
}

#[allow(clippy::format_push_string)] // Short is clearer than fast here.
fn template(order: &[usize], needs: &[Vec<usize>]) -> String {
    let mut text = String::from("resources:\n");
    for place in order {
        let mut data = String::new();
        let mut depends_on = String::new();
        for need in needs[*place].iter().filter(|need| *need < place) {
            if need % 2 == 0 {
                data += &format!("k{need}: '${{{{ resources.r{need}.metadata.name }}}}', ");
            } else {
                depends_on += &format!("r{need}, ");
            }
        }
        text += &format!(
            "- {{id: r{place}, dependsOn: [{depends_on}], manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: r{place}}}, data: {{{data}}}}}}}\n"
        );
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_object_stands_behind_all_that_it_depends_on((order, needs) in graph()) {
        let base = compiled(&template(&order, &needs));
        let plan = orders(&json!({})).planned(&base);
        prop_assert_eq!(plan.objects.len(), order.len());
        for (place, object) in plan.objects.iter().enumerate() {
            let own: usize = object.resource[1..].parse().unwrap();
            let wanted: BTreeSet<String> = needs[own].iter().filter(|need| **need < own).map(|need| format!("r{need}")).collect();
            let found: BTreeSet<String> = object.depends_on.iter().map(|place| plan.objects[*place].resource.clone()).collect();
            prop_assert_eq!(wanted, found);
            prop_assert!(object.depends_on.iter().all(|need| *need < place));
        }
        // The same request gives the same plan.
        let again = orders(&json!({})).planned(&base);
        prop_assert_eq!(format!("{:?}", plan.objects), format!("{:?}", again.objects));
    }

    #[test]
    fn any_string_in_a_manifest_compiles_or_is_a_fault(text in ".{0,80}", key in ".{0,20}") {
        let mut content = content("resources: [{id: a, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}}]");
        let data = json!({key: text.clone(), "x": format!("${{{{ {text} }}}}")});
        content.resources[0].manifest.insert("data".to_owned(), data);
        if let Ok(compiled) = compile(&content, "1", &Cluster, &Policy::default()) {
            let plan = orders(&json!({})).planned(&Arc::new(compiled));
            let _ = plan.render(0, &Live::new());
        }
    }

    #[test]
    fn any_value_comes_out_as_it_went_in(data in any::<String>(), number in any::<i64>(), float in -1e9_f64..1e9) {
        let base = compiled(
            "
parameters: {additionalProperties: true}
resources: [{id: a, manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: '${{ parameters.data }}'}}]
",
        );
        let given = json!({"data": {"text": data.clone(), data: [number, float, null, true]}});
        let plan = orders(&given).planned(&base);
        prop_assert_eq!(&body(&plan, "a", &Live::new())["data"], &given["data"]);
    }
}
