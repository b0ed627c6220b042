use proptest::prelude::*;
use serde_json::{Value, json};

use super::Page;

fn answer(text: &str) -> Value {
    Page::read(text).into_answer().into()
}

#[test]
fn open_graph_is_taken_over() {
    let page = Page::read(
        r#"<html prefix="og: http://ogp.me/ns#"><head><title>The Rock (1996)</title>
        <meta property="og:title" content="The Rock" /><meta property="og:type" content="video.movie">
        <meta property="og:url" content="http://www.imdb.com/title/tt0117500/"><META PROPERTY="OG:Locale" CONTENT=en>
        <meta property="og:title" content="a second one"><meta property="og:empty" content="">
        <meta property="og:image" content="rock.png"><meta property="og:image:width" content="7"></head>"#,
    );
    assert_eq!(page.picture(), Some("rock.png"));
    let wanted = json!({ "og:title": "The Rock", "og:type": "video.movie", "og:locale": "en",
        "og:url": "http://www.imdb.com/title/tt0117500/" });
    assert_eq!(Value::from(page.into_answer()), wanted);
}

#[test]
fn pages_without_it_are_read_as_people_do() {
    let page = r"<title>Bed &amp; breakfast
        at the   sea</title><script>'<p>no</p><title>no</title>'</script><h1>Welcome</h1>
        <style>p { }</style><p> </p><p>Rooms <b>from</b> 50&nbsp;&euro;.</p><p>More.</p>";
    let wanted = json!({ "og:title": "Bed & breakfast at the sea", "og:description": "Rooms from 50 €." });
    assert_eq!(answer(page), wanted);
    assert_eq!(answer("<h2>Only <i>this</i></h2>"), json!({ "og:title": "Only this" }));
    let described = r#"<p>text</p><meta name="description" content=" short  words ">"#;
    assert_eq!(answer(described), json!({ "og:description": "short words" }));
    let twitter = Page::read(r#"<meta name="twitter:image" content="t.png"><link rel="image_src" href="l.png">"#);
    assert_eq!(twitter.picture(), Some("t.png"));
    let link = Page::read(r#"<link rel="icon" href="i.png"><link rel="x IMAGE_SRC" href="l.png">"#);
    assert_eq!(link.picture(), Some("l.png"));
    assert_eq!(answer(""), json!({}));
}

#[test]
fn what_is_taken_over_is_bounded() {
    let many: Vec<_> = (0..1000).map(|nth| format!(r#"<meta property="og:x{nth}" content="y">"#)).collect();
    assert_eq!(answer(&many.concat()).as_object().unwrap().len(), 50);
    let long = answer(&format!("<title>{}</title>", "ä".repeat(100_000)));
    assert_eq!(long["og:title"].as_str().unwrap().chars().count(), 1000);
    // Nesting costs nothing, since there is no tree.
    assert_eq!(answer(&"<div><p>".repeat(100_000)), json!({}));
}

#[test]
fn a_tag_is_not_read_whatever_it_costs() {
    let attributes: Vec<_> = (0..200_000).map(|nth| format!(" a{nth}")).collect();
    let (page, bytes) = Page::read_part(&format!("<title>t</title><p{}>text</p>", attributes.concat()));
    assert!(bytes < 80 << 10, "{bytes}");
    assert_eq!(Value::from(page.into_answer()), json!({ "og:title": "t" }));
    // Nor many of them, nor one that is wrong all the time.
    let tag = format!("<p{}>", attributes[..1000].concat());
    let (_, bytes) = Page::read_part(&tag.repeat(1000));
    assert!(bytes < 2 << 20, "{bytes}");
    let (_, bytes) = Page::read_part(&format!("<p x{}", attributes.concat().replace(' ', "=\"\"")));
    assert!(bytes < 80 << 10, "{bytes}");
    // What pages have in fact is passed over.
    let long = format!("<!--{}--><script>{}</script><title>t</title>", "words ".repeat(8000), "x ".repeat(100_000));
    assert_eq!(answer(&long), json!({ "og:title": "t" }));
}

proptest! {
    #[test]
    fn nothing_that_is_written_as_a_page_stops_it(text in "(<[a-z!/]{0,6}|[ =\"'>]|meta|title|og:|&amp;|\\PC){0,60}") {
        let answer = answer(&text);
        prop_assert!(answer.is_object());
    }
}
