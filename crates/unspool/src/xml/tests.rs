//! The splitter over whole listings, however they are cut into chunks.

use bytes::Bytes;
use serde_json::Value;

use super::Splitter;
use crate::error::Error;
use crate::internals::Random;
use crate::json::{End, Place};

const LIMIT: usize = 1 << 20;

/// The items, the envelope, where they were, and a rival.
type Listing = (Vec<String>, String, String, Option<String>);

fn split(chunks: &[&[u8]], place: &Place, limit: usize) -> Result<Listing, Error> {
    let mut splitter = Splitter::new(place.clone(), limit);
    let mut items = Vec::new();
    for chunk in chunks {
        splitter.push(&Bytes::copy_from_slice(chunk));
        while let Some(item) = splitter.next()? {
            items.push(String::from_utf8(item.into()).unwrap());
        }
    }
    let envelope = match splitter.end()? {
        End::Whole(envelope) => envelope,
        End::Late(envelope, late) => {
            assert!(items.is_empty());
            let late: Vec<Value> = serde_json::from_slice(&late).unwrap();
            items.extend(late.iter().map(Value::to_string));
            envelope
        }
    };
    Ok((
        items,
        envelope.document.to_string(),
        envelope.items_at.to_string(),
        envelope.rival.map(|rival| rival.to_string()),
    ))
}

/// The result, which must be the same for every way to cut the document in two,
/// and for single bytes.
#[track_caller]
fn split_all_ways(document: &[u8], place: &Place) -> Result<Listing, String> {
    let describe = |result: Result<_, Error>| result.map_err(|error| error.to_string());
    let whole = describe(split(&[document], place, LIMIT));
    for cut in 0..=document.len() {
        let (front, back) = document.split_at(cut);
        let halves = describe(split(&[front, back], place, LIMIT));
        assert_eq!(halves, whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = document.chunks(1).collect();
    assert_eq!(describe(split(&bytes, place, LIMIT)), whole);
    whole
}

#[track_caller]
fn check(document: &str, items: &[&str], envelope: &str) -> (String, Option<String>) {
    let (found, around, items_at, rival) =
        split_all_ways(document.as_bytes(), &Place::Auto).unwrap();
    assert_eq!(found, items);
    assert_eq!(around, envelope);
    (items_at, rival)
}

#[track_caller]
fn check_item(element: &str, expected: &str) {
    let document = format!("<list><item>1</item>{element}<other/></list>");
    let document = document.replace("<e", "<item").replace("</e", "</item");
    let (items, ..) = split_all_ways(document.as_bytes(), &Place::Auto).unwrap();
    assert_eq!(items, ["\"1\"", expected], "{document}");
}

#[track_caller]
fn check_error(document: &[u8], part: &str) {
    let error = split_all_ways(document, &Place::Auto).unwrap_err();
    assert!(error.contains(part), "{error}");
}

#[test]
fn an_element_of_text_is_a_string() {
    check_item("<e>a b</e>", r#""a b""#);
    check_item("<e> a\n b </e>", r#"" a\n b ""#);
    check_item("<e></e>", r#""""#);
    check_item("<e/>", r#""""#);
    check_item("<e >12</e >", r#""12""#);
}

#[test]
fn an_element_with_children_or_attributes_is_an_object() {
    check_item("<e><b>1</b><a>2</a></e>", r#"{"b":"1","a":"2"}"#);
    check_item(
        "<e>\n <a>1</a>\n <a><b/></a>\n</e>",
        r#"{"a":["1",{"b":""}]}"#,
    );
    check_item(
        "<e><a>1</a><b>2</b><a>3</a></e>",
        r#"{"a":["1","3"],"b":"2"}"#,
    );
    check_item("<e x='1' y:z=\"a>b\"/>", r#"{"@x":"1","@y:z":"a>b"}"#);
    check_item("<e x='1'> t </e>", r##"{"@x":"1","#text":" t "}"##);
    check_item("<e x='1'>\n</e>", r#"{"@x":"1"}"#);
    check_item("<e>a <b>bold</b> c</e>", r##"{"b":"bold","#text":"a  c"}"##);
    check_item(
        "<e><n:a xmlns:n='u'>1</n:a></e>",
        r##"{"n:a":{"@xmlns:n":"u","#text":"1"}}"##,
    );
}

/// An element as a tree, which is what the text that the splitter makes is compared with.
struct Tree {
    name: &'static str,
    attribute: Option<&'static str>,
    text: &'static str,
    children: Vec<Tree>,
}

impl Tree {
    fn random(random: &mut Random, name: &'static str, depth: usize) -> Self {
        let children = match depth {
            0 => 0,
            _ => random.below(6),
        };
        Tree {
            name,
            attribute: [None, None, Some("x"), Some("")][random.below(4)],
            text: ["", "", " ", "a\"", " b "][random.below(5)],
            children: (0..children)
                .map(|_| {
                    let name = ["a", "ab", "b", "n:c"][random.below(4)];
                    Tree::random(random, name, depth - 1)
                })
                .collect(),
        }
    }

    fn xml(&self) -> String {
        let attribute = self.attribute.map(|value| format!(" k='{value}'"));
        let inside: String = self.children.iter().map(Tree::xml).collect();
        let (name, text) = (self.name, self.text);
        format!(
            "<{name}{}>{text}{inside}</{name}>",
            attribute.unwrap_or_default()
        )
    }

    fn json(&self) -> String {
        let string = |text: &str| Value::from(text).to_string();
        if self.attribute.is_none() && self.children.is_empty() {
            return string(self.text);
        }
        let attribute = self
            .attribute
            .map(|value| format!("\"@k\":{}", string(value)));
        let mut members: Vec<String> = attribute.into_iter().collect();
        let mut names: Vec<&str> = Vec::new();
        for child in &self.children {
            if names.contains(&child.name) {
                continue;
            }
            names.push(child.name);
            let same = self
                .children
                .iter()
                .filter(|other| other.name == child.name);
            let same: Vec<String> = same.map(Tree::json).collect();
            members.push(match same.as_slice() {
                [one] => format!("\"{}\":{one}", child.name),
                _ => format!("\"{}\":[{}]", child.name, same.join(",")),
            });
        }
        let text = match self.children.is_empty() && !self.text.trim().is_empty() {
            true => self.text,
            false => self.text.trim(),
        };
        if !text.is_empty() {
            members.push(format!("\"#text\":{}", string(text)));
        }
        format!("{{{}}}", members.join(","))
    }
}

#[test]
fn children_of_one_name_come_together_wherever_they_stand() {
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let item = Tree::random(&mut random, "item", 4);
        let document = format!("<list><b/>{}<b/><b/>{0}</list>", item.xml());
        let (items, envelope, ..) = split(&[document.as_bytes()], &Place::Auto, LIMIT).unwrap();
        assert_eq!(items, [item.json(), item.json()], "{document}");
        assert_eq!(envelope, r#"{"list":{"b":["","",""],"item":[]}}"#);
    }
}

#[test]
fn references_and_verbatim_text_are_decoded() {
    check_item(
        "<e>a &lt;&amp;&gt; &quot;&apos; &#233;&#xE9;</e>",
        r#""a <&> \"' éé""#,
    );
    check_item(
        "<e><![CDATA[<b>&amp;]]]]><![CDATA[>]]></e>",
        r#""<b>&amp;]]>""#,
    );
    check_item("<e x='&lt;&#10;\n'/>", "{\"@x\":\"<\\n \"}");
    check_item("<e>a\r\nb\rc</e>", r#""a\nb\nc""#);
    check_item("<e>a<!-- <b> & --><?php ?>b</e>", r#""ab""#);
}

#[test]
fn a_listing_of_a_bucket() {
    let around = r#"{"ListBucketResult":{"@xmlns":"http://s3.amazonaws.com/doc/2006-03-01/","CommonPrefixes":{"Prefix":"c/"},"Contents":[],"IsTruncated":"true","Name":"b","NextContinuationToken":"1/x=="}}"#;
    let (items_at, rival) = check(
        concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>",
            "<Contents><Key>a &amp; b</Key><Size>1</Size></Contents>",
            "<IsTruncated>true</IsTruncated>\n",
            "<Contents><Key>b</Key><Size>2</Size></Contents>\n",
            "<NextContinuationToken>1/x==</NextContinuationToken>",
            "<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>\n"
        ),
        &[r#"{"Key":"a & b","Size":"1"}"#, r#"{"Key":"b","Size":"2"}"#],
        around,
    );
    assert_eq!(
        (items_at.as_str(), rival),
        ("/ListBucketResult/Contents", None)
    );
}

#[test]
fn a_feed() {
    let (items_at, _) = check(
        concat!(
            "<feed xmlns:o='http://a9.com/-/spec/opensearch/1.1/'><link rel='self' href='/1'/><link rel='next' href='/2'/>",
            "<o:totalResults>7</o:totalResults><entry><id>1</id><author><name>É</name></author></entry></feed>"
        ),
        &[r#"{"id":"1","author":{"name":"É"}}"#],
        r#"{"feed":{"@xmlns:o":"http://a9.com/-/spec/opensearch/1.1/","entry":[],"link":[{"@href":"/1","@rel":"self"},{"@href":"/2","@rel":"next"}],"o:totalResults":"7"}}"#,
    );
    assert_eq!(items_at, "/feed/entry");
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    check(
        "\u{FEFF}<feed><entry/></feed>",
        &["\"\""],
        r#"{"feed":{"entry":[]}}"#,
    );
}

#[test]
fn positions_count_from_the_begin_of_the_body() {
    check_error(
        "\u{FEFF}x<feed/>".as_bytes(),
        "expected an element at byte 3",
    );
}

#[test]
fn a_listing_without_items_is_empty() {
    let (items_at, rival) = check(
        "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>",
        &[],
        r#"{"ListBucketResult":{"KeyCount":"0"}}"#,
    );
    assert_eq!(
        (items_at.as_str(), rival),
        ("/ListBucketResult/Contents", None)
    );
    let (items_at, _) = check("<a:feed/>", &[], r#"{"a:feed":""}"#);
    assert_eq!(items_at, "/a:feed/a:entry");
    let (items_at, _) = check(
        "<rss><channel><title/></channel></rss>",
        &[],
        r#"{"rss":{"channel":{"title":""}}}"#,
    );
    assert_eq!(items_at, "/rss/channel/item");
}

#[test]
fn prefixes_in_the_place_of_items_are_a_doubt() {
    let document =
        "<ListBucketResult><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>";
    let (items, _, _, rival) = split_all_ways(document.as_bytes(), &Place::Auto).unwrap();
    assert!(items.is_empty());
    assert_eq!(rival.as_deref(), Some("/ListBucketResult/CommonPrefixes"));
}

#[test]
fn elements_of_other_names_are_items_where_they_repeat() {
    let (items_at, rival) = check(
        "<cats><n>2</n><cat><a/><a/></cat><cat>Tom</cat></cats>",
        &[r#"{"a":["",""]}"#, r#""Tom""#],
        r#"{"cats":{"cat":[],"n":"2"}}"#,
    );
    assert_eq!((items_at.as_str(), rival), ("/cats/cat", None));
    let (items_at, rival) = check(
        "<a><b><c>1</c><c>2</c></b><d><e><f/><f/></e></d></a>",
        &["\"1\"", "\"2\""],
        r#"{"a":{"b":{"c":[]},"d":{"e":{"f":["",""]}}}}"#,
    );
    assert_eq!(
        (items_at.as_str(), rival.as_deref()),
        ("/a/b/c", Some("/a/d/e/f"))
    );
}

#[test]
fn a_second_usual_name_is_a_doubt() {
    let (items_at, rival) = check(
        "<r><rows><row>1</row></rows><item>2</item></r>",
        &["\"1\""],
        r#"{"r":{"item":"2","rows":{"row":[]}}}"#,
    );
    assert_eq!(
        (items_at.as_str(), rival.as_deref()),
        ("/r/rows/row", Some("/r/item"))
    );
}

#[test]
fn a_pointer_says_where_the_items_are() {
    let at = |pointer: &str, document: &str| {
        split_all_ways(document.as_bytes(), &Place::At(pointer.parse().unwrap()))
    };
    let (items, around, ..) = at("/a/b/c", "<a><item/><b><c>1</c></b><b><c>2</c></b></a>").unwrap();
    assert_eq!(items, ["\"1\"", "\"2\""]);
    assert_eq!(around, r#"{"a":{"b":[{"c":[]},{"c":[]}],"item":""}}"#);
    assert!(at("/a/b/c", "<a><b/></a>").unwrap().0.is_empty());
    let error = at("/a/b/c", "<a><x/></a>").unwrap_err();
    assert_eq!(error, "expected elements at `/a/b/c`, found `<a>` with `x`");
    assert!(at("", "<a><x/></a>").is_err());
}

#[test]
fn a_document_that_stops_is_truncated_wherever_it_stops() {
    let document = "\u{FEFF}<?xml version='1.0'?><!-- c --><feed a='>'><entry>&amp;<![CDATA[x]]></entry><entry/>x</feed>";
    let all = split(&[document.as_bytes()], &Place::Auto, LIMIT).unwrap();
    assert_eq!(all.0.len(), 2);
    for end in 0..document.len() {
        let error = split(&[&document.as_bytes()[..end]], &Place::Auto, LIMIT).unwrap_err();
        assert!(error.is_truncated(), "{error} at {end}");
    }
}

#[test]
fn what_is_not_xml_is_refused() {
    check_error(b"<a><b></a>", "expected `</b>` at byte 6, found `</a>`");
    check_error(b"<a></a><b/>", "expected nothing more at byte 7");
    check_error(b"<a></a>x", "expected nothing more at byte 7");
    check_error(b"<a></a></a>", "expected nothing more at byte 7");
    check_error(b"<a><1/></a>", "expected the name of an element");
    check_error(b"<a><></></a>", "expected the name of an element");
    check_error(b"<a>1 < 2</a>", "expected the name of an element");
    check_error(b"<a b=1></a>", "not XML");
    check_error(b"<a b='1' b='2'></a>", "not XML");
    check_error(b"<a>&nbsp;</a>", "not XML");
    check_error(b"<a>&#0;</a>", "not XML");
    check_error(b"<a>R & D</a>", "not XML");
    check_error(b"<a b='&x;'/>", "not XML");
    check_error(b"<a>\xFF</a>", "invalid byte 3");
    check_error(b"<feed>\n<entry>\xC3</entry></feed>", "invalid byte 14");
    check_error(b"<a/>\xFF\xFE<", "not XML in UTF-8");
    check_error(
        b"<Error><Code>Denied</Code></Error>",
        "found `<Error>` with `Code`",
    );
    let deep = "<a>".repeat(200);
    let error = split(&[deep.as_bytes()], &Place::Auto, LIMIT).unwrap_err();
    assert!(
        error.to_string().contains("nests more than 127 deep"),
        "{error}"
    );
}

#[test]
fn entities_and_other_encodings_are_refused() {
    check_error(
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "found a document type (`<!",
    );
    check_error(b"<!DOCTYPE html><html></html>", "a web page");
    check_error(
        b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
        "says that it is in `ISO-8859-1`",
    );
    check_error(b"\xFF\xFE<\0a\0", "UTF-16");
    check(
        "<?xml version='1.0' encoding='utf-8'?><feed/>",
        &[],
        r#"{"feed":""}"#,
    );
}

#[test]
fn an_instruction_has_a_name() {
    for unnamed in [
        "<?></a?>",
        "<??>",
        "<? xml version='1.0'?>",
        "<?1?>",
        "<?=$x ?>",
    ] {
        check_error(
            format!("{unnamed}<feed/>").as_bytes(),
            "expected a name after `<?` at byte",
        );
        check_error(format!("<feed>{unnamed}</feed>").as_bytes(), "after `<?`");
    }
    check("<?é?><feed><?a\tb?></feed><?c-d ?>", &[], r#"{"feed":""}"#);
}

#[test]
fn an_item_and_what_surrounds_the_items_have_a_limit() {
    let long = "x".repeat(600);
    for (document, part) in [
        (
            format!("<feed><entry><a>{long}</a><a>{long}</a></entry></feed>"),
            "item 1, at byte 6, is over",
        ),
        (
            format!("<feed><entry>{long}{long}"),
            "a tag or a text at byte 13 is over",
        ),
        (
            format!("<feed><a>{long}</a><entry/><a>{long}</a></feed>"),
            "what surrounds the items is over",
        ),
    ] {
        for size in [1, 100, 5000] {
            let chunks: Vec<&[u8]> = document.as_bytes().chunks(size).collect();
            let error = split(&chunks, &Place::Auto, 1000).unwrap_err();
            assert!(error.is_too_large(), "{error}");
            assert!(size == 5000 || error.to_string().contains(part), "{error}");
        }
    }
    let many = format!("<feed>{}</feed>", "\n<entry>1</entry>\n".repeat(10_000));
    let (items, envelope, ..) = split(&[many.as_bytes()], &Place::Auto, 1000).unwrap();
    assert_eq!(items.len(), 10_000);
    assert_eq!(envelope, r#"{"feed":{"entry":[]}}"#);
}

#[test]
fn the_smallest_chunks_of_a_long_token_do_not_take_quadratic_time() {
    for document in [
        format!("<feed><entry>{}</entry></feed>", "x".repeat(500_000)),
        format!("<feed><entry a='{}'/></feed>", ">".repeat(500_000)),
        format!(
            "<feed><entry><![CDATA[{}]]></entry></feed>",
            "]".repeat(500_000)
        ),
    ] {
        let chunks: Vec<&[u8]> = document.as_bytes().chunks(1).collect();
        assert_eq!(split(&chunks, &Place::Auto, LIMIT).unwrap().0.len(), 1);
    }
}
