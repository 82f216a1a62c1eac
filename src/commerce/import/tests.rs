//! A file on its way through reading and deciding.

use proptest::prelude::*;

use super::{
    RowError,
    cells::Tax,
    plan::{Draft, plan},
    sheet::{MAX_ROWS, Sheet, Unusable, read},
};
use crate::{
    commerce::cards::{Known, ProductCard, SkuCard},
    ids::{ProductId, SkuId},
};

fn sheet(text: &str) -> Sheet {
    read(text.as_bytes()).expect("the file can be used")
}

fn faults(errors: &[RowError]) -> Vec<(u32, &str)> {
    errors.iter().map(|error| (error.row, error.column.as_str())).collect()
}

/// What a file makes of a catalogue.
fn planned(text: &str, known: &[Known]) -> (Vec<Draft>, Vec<RowError>) {
    let sheet = sheet(text);
    assert_eq!(sheet.errors, [], "the rows themselves are sound");
    plan(sheet.goods, &sheet.columns, known)
}

/// The catalogue after a plan.
fn applied(drafts: &[Draft]) -> Vec<Known> {
    let known = |draft: &Draft| {
        let id = draft.id.clone().unwrap_or_else(ProductId::fresh);
        let card = |sku: &super::plan::SkuDraft| SkuCard {
            id: sku.id.clone().unwrap_or_else(SkuId::fresh),
            product_id: id.clone(),
            variant: sku.variant.clone(),
            code: sku.code.clone(),
            jan: sku.jan.clone(),
            price_minor: sku.price_minor,
            tax_rate_bp: sku.tax_rate_bp,
        };
        let skus = draft.skus.iter().map(card).collect();
        let (title, description) = (draft.title.clone(), draft.description.clone());
        Known {
            product: ProductCard { id, handle: Some(draft.handle.clone()), title, description, image_svg: None },
            skus,
        }
    };
    drafts.iter().map(known).collect()
}

#[test]
fn our_own_columns_are_read_in_any_order_and_case() {
    let sheet = sheet(
        "\u{feff}Stock , HANDLE,title,Price,tax_rate,variant,code,jan,description,note\r\n\
         12,dango,花見団子,\"1,080\",8,5本,D-5,4901234567894,\"三色\n団子\",x\r\n\
         ,dango,,540,,3本,,,,\r\n",
    );
    assert_eq!((sheet.rows, sheet.skipped, sheet.goods.len()), (2, 0, 1));
    let goods = &sheet.goods[0];
    assert_eq!((goods.title.as_deref(), goods.description.as_deref()), (Some("花見団子"), Some("三色\n団子")));
    let [first, second] = &goods.variants[..] else { panic!("two variants") };
    assert_eq!((first.price_minor, first.tax, first.counted), (1_080, Tax::Rate(800), Some(12)));
    assert_eq!((first.code.as_deref(), first.jan.as_deref()), (Some("D-5"), Some("4901234567894")));
    assert_eq!((second.name.as_str(), second.tax, second.counted), ("3本", Tax::Unsaid, None));
}

#[test]
fn both_of_shopifys_templates_are_read() {
    let classic = sheet(
        "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Inventory Qty,\
         Variant Price,Variant Taxable,Variant Barcode,Image Src,Status\n\
         shirt,Shirt,<p>Linen &amp; blue</p>,Size,S,Color,Navy,SH-S,3,14800.00,true,'4901234567894,https://x/1.png,active\n\
         shirt,,,,M,,Navy,SH-M,4,14800,false,,,\n\
         shirt,,,,,,,,,,,,https://x/2.png,\n\
         bag,Bag,,Title,Default Title,,,BAG,,6800,,,,Draft\n\
         bag,,,,,,,,,,,,https://x/3.png,\n",
    );
    assert_eq!((classic.rows, classic.skipped, classic.goods.len()), (5, 2, 1));
    assert_eq!(classic.errors, []);
    let names: Vec<_> = classic.goods[0].variants.iter().map(|variant| (variant.name.as_str(), variant.tax)).collect();
    assert_eq!(names, [("S / Navy", Tax::Taxed), ("M / Navy", Tax::Rate(0))]);
    assert_eq!(classic.goods[0].description.as_deref(), Some("Linen & blue"));

    let newer = sheet(
        "Title,URL handle,Description,Status,SKU,Barcode,Option1 name,Option1 value,Option1 Linked To,Price,Charge tax,\
         Inventory quantity\n\
         Towel,towel,<b>Cotton</b>,Active,T-1,,Title,Default Title,,1650,TRUE,７\n",
    );
    let variant = &newer.goods[0].variants[0];
    assert_eq!((variant.name.as_str(), variant.counted, variant.code.as_deref()), ("", Some(7), Some("T-1")));
}

#[test]
fn a_file_without_a_usable_header_is_refused_by_name() {
    let refused = |file: &[u8]| read(file).expect_err("the file cannot be used");
    assert_eq!(refused(b""), Unusable::Empty);
    assert_eq!(refused(b"\xef\xbb\xbf"), Unusable::Empty);
    assert_eq!(refused(b"handle;title;price\n"), Unusable::Missing("handle"));
    assert_eq!(refused(b"handle,title\n"), Unusable::Missing("price"));
    assert_eq!(refused(b"Handle,Title,Variant SKU\n"), Unusable::Missing("Variant Price"));
    assert_eq!(refused(b"URL handle,Title\n"), Unusable::Missing("Price"));
    assert_eq!(refused(b"handle,title,price,Price\n"), Unusable::Twice("price".to_owned()));
    assert_eq!(refused(b"handle,title,price\na,\"b,1\n"), Unusable::OpenQuote(2));
    assert_eq!(refused(b"handle,title,price\na,\0,1\n"), Unusable::Nul);
    // "花" as Shift_JIS has it.
    let message = refused(b"handle,title,price\na,\x89\xd4,1\n").to_string();
    assert!(message.contains("UTF-8"), "{message}");
    let long = format!("handle,title,price\n{}", "a,b,1\n".repeat(MAX_ROWS as usize + 1));
    assert_eq!(refused(long.as_bytes()), Unusable::TooManyRows);
}

#[test]
fn a_faulty_row_is_left_out_and_says_which_cell_is_why() {
    let long = "長".repeat(121);
    let sheet = sheet(&format!(
        "handle,title,description,variant,code,jan,price,tax_rate,stock\n\
         ,Nameless,,,,,1,,\n\
         \n\
         a,A,,1,,4901234567890,19.80,5,-1\n\
         a,A,,2,,,100,,\n\
         b,{long},,,,,100,,\n\
         c,C,{},,,,100,,\n\
         d,D,,,,,,,\n\
         ,,,,,,,,\n",
        "あ".repeat(4_001),
    ));
    assert_eq!(sheet.rows, 6);
    assert_eq!(
        faults(&sheet.errors),
        [
            (2, "handle"),
            (4, "jan"),
            (4, "price"),
            (4, "tax_rate"),
            (4, "stock"),
            (6, "title"),
            (7, "description"),
            (8, "price")
        ]
    );
    let variants: Vec<_> = sheet.goods.iter().map(|goods| goods.variants.len()).collect();
    assert_eq!(variants, [1, 0, 0, 0]);
}

#[test]
fn a_name_is_borne_by_one_row() {
    let sheet = sheet(
        "handle,title,variant,code,jan,price\n\
         a,A,1,X,4901234567894,1\n\
         a,,2,X,,1\n\
         b,B,,,4901234567894,1\n\
         a,,1,Y,,1\n",
    );
    assert_eq!(faults(&sheet.errors), [(3, "code"), (5, "variant"), (4, "jan")]);
    assert!(sheet.errors.iter().all(|error| error.message == "is the same as in row 2"), "{:?}", sheet.errors);
}

const FILE: &str = "\
handle,title,description,variant,code,jan,price,tax_rate,stock
a,A,text,1,A-1,4901234567894,100,8,5
a,,,2,A-2,,200,,
b,B,,,,,300,10,1
";

#[test]
fn the_same_file_again_changes_nothing() {
    let (drafts, errors) = planned(FILE, &[]);
    assert_eq!(errors, []);
    assert!(drafts.iter().all(|draft| draft.id.is_none() && draft.skus.iter().all(|sku| sku.id.is_none())));
    let known = applied(&drafts);
    let (drafts, errors) = planned(FILE, &known);
    assert_eq!(errors, []);
    for draft in &drafts {
        assert!(draft.id.is_some() && !draft.changed, "{draft:?}");
        assert!(draft.skus.iter().all(|sku| sku.id.is_some() && !sku.changed), "{draft:?}");
    }
}

#[test]
fn a_sku_is_found_by_code_else_jan_else_variant() {
    let known = applied(&planned(FILE, &[]).0);
    let id = |product: usize, sku: usize| Some(known[product].skus[sku].id.clone());
    let (drafts, errors) = planned(
        "handle,title,variant,code,jan,price\n\
         a,A,renamed,A-2,,200\n\
         a,,again,,4901234567894,100\n\
         a,,new,,,1\n\
         b,,,B-1,,333\n",
        &known,
    );
    assert_eq!(errors, []);
    let ids: Vec<_> = drafts.iter().flat_map(|draft| &draft.skus).map(|sku| sku.id.clone()).collect();
    assert_eq!(ids, [id(0, 1), id(0, 0), None, id(1, 0)]);
    assert_eq!(drafts[0].description, "text", "a column that is absent says nothing");
    let jan = &drafts[0].skus[1];
    assert_eq!((jan.code.as_deref(), jan.tax_rate_bp), (Some("A-1"), 800), "what a row does not say stays");
    let named = &drafts[1].skus[0];
    assert_eq!((named.code.as_deref(), named.price_minor, named.changed), (Some("B-1"), 333, true));
}

#[test]
fn goods_of_another_product_are_not_touched() {
    let known = applied(&planned(FILE, &[]).0);
    let (drafts, errors) = planned(
        "handle,title,variant,code,jan,price\n\
         b,B,1,A-1,,1\n\
         b,,2,,4901234567894,1\n\
         c,,,,,1\n",
        &known,
    );
    assert_eq!(faults(&errors), [(2, "code"), (3, "jan"), (4, "title")]);
    assert_eq!(drafts, []);
    let (drafts, errors) = planned("handle,title,variant,code,jan,price\na,A,x,A-2,4901234567894,1\n", &known);
    assert_eq!(faults(&errors), [(2, "jan")]);
    assert_eq!(drafts, []);
}

#[test]
fn goods_made_by_hand_are_taken_over_by_their_jan() {
    let mut known = applied(&planned(FILE, &[]).0);
    known[0].product.handle = None;
    let (drafts, errors) = planned("handle,title,variant,jan,price\nnew,A,1,4901234567894,100\n", &known);
    assert_eq!(errors, []);
    assert_eq!((drafts[0].id.as_ref(), drafts[0].changed), (Some(&known[0].product.id), true));
    assert!(!drafts[0].skus[0].changed);
}

#[test]
fn taxed_keeps_a_reduced_rate_and_undoes_an_exemption() {
    let header = "Handle,Title,Option1 Value,Variant SKU,Variant Price,Variant Taxable\n";
    let known = applied(&planned(FILE, &[]).0);
    let rates = |taxable: &str| {
        let (drafts, _) = planned(&format!("{header}a,A,1,A-1,100,{taxable}\na,,9,,100,{taxable}\n"), &known);
        drafts[0].skus.iter().map(|sku| sku.tax_rate_bp).collect::<Vec<_>>()
    };
    assert_eq!(rates("TRUE"), [800, 1_000]);
    assert_eq!(rates("FALSE"), [0, 0]);
    assert_eq!(rates(""), [800, 1_000]);
}

#[test]
fn a_product_has_at_most_fifty_skus() {
    let rows = (0..51).map(|n| format!("a,A,{n},,1\n")).collect::<Vec<_>>().concat();
    let (drafts, errors) = planned(&format!("handle,title,variant,jan,price\n{rows}"), &[]);
    assert_eq!(drafts[0].skus.len(), 50);
    assert_eq!(errors[0].row, 52);
}

proptest! {
    #[test]
    fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn rubbish_rows_never_panic_and_every_fault_is_in_the_file(
        header in prop_oneof![
            Just("handle,title,description,variant,code,jan,price,tax_rate,stock"),
            Just("Handle,Title,Body (HTML),Option1 Value,Option2 Value,Variant SKU,Variant Price,Variant Taxable,Status"),
            Just("URL handle,Title,Description,Option1 value,SKU,Barcode,Price,Inventory quantity,Status"),
        ],
        rows in "([ab]{0,1},[A\"<]{0,2},[0-9x.]{0,3},[12]{0,1},[XY]{0,1},(4901234567894)?,[0-9.]{0,3},(8|TRUE|x)?,[0-9]{0,2}\r?\n){0,8}",
    ) {
        let text = format!("{header}\n{rows}");
        if let Ok(sheet) = read(text.as_bytes()) {
            let lines = u32::try_from(text.lines().count()).expect("a few");
            let before = applied(&plan(sheet.goods.clone(), &sheet.columns, &[]).0);
            let (drafts, errors) = plan(sheet.goods, &sheet.columns, &before);
            prop_assert!(drafts.iter().all(|draft| !draft.changed && draft.skus.iter().all(|sku| !sku.changed)));
            prop_assert!(sheet.errors.iter().chain(&errors).all(|error| (2..=lines).contains(&error.row)));
        }
    }
}
