use serde_json::json;

use super::*;

#[track_caller]
fn check(template: &str, context: &Value, expected: &str) {
    assert_eq!(render(template, context).unwrap(), expected, "{template}");
}

#[test]
fn values_print_as_the_first_engine_prints_them() {
    let context = json!({
        "text": "say \"hi\"\n", "empty": "", "none": null, "yes": true, "no": false, "zero": 0, "one": 1.0,
        "half": 0.5, "huge": 1.797_693_134_862_315_7e308, "tiny": 1e-5, "large": 12_345_678.5,
        "list": ["a", "b\"", 1, [true]], "nothing": [], "map": {"inner": "x", "deep": {"er": 3}},
    });
    check("{{text}}|{{{text}}}|{{& text }}", &context, r#"say \"hi\"\n|say \"hi\"\n|say \"hi\"\n"#);
    check("{{none}}|{{missing}}|{{map.missing.more}}|{{empty}}", &context, "|||");
    check(
        "{{yes}} {{no}} {{zero}} {{one}} {{half}} {{tiny}} {{large}}",
        &context,
        "true false 0 1 0.5 1.0E-5 1.23456785E7",
    );
    assert!(render("{{huge}}", &context).unwrap().starts_with("17976931348623157000000"));
    check("{{list}}|{{nothing}}", &context, r#"["a", "b\"", 1, [true]]|[]"#);
    check("{{map.inner}} {{ map.deep.er }}", &context, "x 3");
    check("a{{! a comment }}b", &context, "ab");
    check("<&>'", &context, "<&>'");
}

#[test]
fn sections_know_what_is_true() {
    let context = json!({
        "yes": true, "no": false, "zero": 0, "empty": "", "text": "t", "none": null, "nothing": [], "object": {},
        "list": [{"n": 1}, {"n": 2}], "words": ["x", "y"], "n": 0,
    });
    for truthy in ["yes", "zero", "text", "object"] {
        check(
            &format!("{{{{#{truthy}}}}}in{{{{/{truthy}}}}}{{{{^{truthy}}}}}out{{{{/{truthy}}}}}"),
            &context,
            "in",
        );
    }
    for falsy in ["no", "empty", "none", "nothing", "missing"] {
        check(
            &format!("{{{{#{falsy}}}}}in{{{{/{falsy}}}}}{{{{^{falsy}}}}}out{{{{/{falsy}}}}}"),
            &context,
            "out",
        );
    }
    check("{{#list}}{{n}},{{/list}}{{n}}", &context, "1,2,0");
    check("{{#words}}{{.}};{{/words}}", &context, r#""x";"y";"#);
    check(
        "{{^nothing.isEmpty}}some{{/nothing.isEmpty}}{{#text.isEmpty}}none{{/text.isEmpty}}",
        &context,
        "",
    );
    check("{{#nothing.isEmpty}}none{{/nothing.isEmpty}}", &context, "none");
}

#[test]
fn the_scope_that_has_the_first_part_decides() {
    let context = json!({"a": {"b": "outer", "c": "only"}, "list": [{"a": {"b": "inner"}}, {}]});
    check("{{#list}}{{a.b}}/{{a.c}};{{/list}}", &context, "inner/;outer/only;");
}

#[test]
fn as_json_inserts_a_variable_of_the_top() {
    let context = json!({"definition": "{}", "other": 1});
    check("{{#asJson}}definition{{/asJson}} {{#asJson}}other{{/asJson}}", &context, "{} null");
}

#[test]
fn mistakes_in_a_template_name_their_line() {
    let mistake = |template: &str| render(template, &json!({})).unwrap_err().to_string();
    assert_eq!(mistake("\n{{a"), "line 2: the tag is not closed");
    assert_eq!(mistake("{{#a}}\n"), "line 1: the section 'a' is not closed");
    assert_eq!(mistake("\n\n{{/a}}"), "line 3: 'a' is closed here and was not opened");
    assert_eq!(
        mistake("{{#a}}{{#b}}{{/a}}{{/b}}"),
        "line 1: 'a' is closed here and was not opened"
    );
    assert_eq!(mistake("{{> part}}"), "line 1: the tag '> part' is not supported");
    assert_eq!(mistake(&"{{#a}}".repeat(65)), "line 1: more than 64 sections in one another");
}

#[test]
fn a_small_template_cannot_fill_the_memory() {
    let list = json!({"l": vec![0; 1000]});
    let template = format!("{}{}{}", "{{#l}}".repeat(4), "x".repeat(100), "{{/l}}".repeat(4));
    assert_eq!(render(&template, &list), Err(Error::TooLong));
}

proptest::proptest! {
    #[test]
    fn any_template_is_filled_or_refused(template in "[a{}#/^!. \n]{0,40}") {
        let _any = render(&template, &json!({"a": [{"aa": "x"}, ""]}));
    }
}
