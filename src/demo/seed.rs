//! Root: the demo's goods and people, made once in an empty database.

use anyhow::Context;

use super::{
    PASSWORD,
    pictures::{Motif, picture},
};
use crate::{
    app::App,
    commerce::{FactClass, FactKind, Move, NewProduct, NewSku, PlaceKind, Product, StockFact},
    ids::{AccountId, LocationId},
    omo::{Hours, NewLocation},
    people::{Brand, NewBrand, NewPerson, Person},
};

/// The operator's address.
pub(super) const OPERATOR: &str = "operator@demo.example";
/// The liver whose live is on.
pub(super) const LIVER: (&str, &str) = ("sakura@demo.example", "さくら");
/// Another liver, with a scheduled tie-up live.
const SECOND_LIVER: (&str, &str) = ("ren@demo.example", "蓮（れん）");
/// One member of each brand.
pub(super) const BRAND_MEMBERS: [&str; 2] = ["hanamido@demo.example", "aiya@demo.example"];
/// Name, invoice number and commission in basis points.
pub(super) const BRANDS: [(&str, &str, i32); 2] =
    [("和菓子処 花見堂", "T1234567890123", 1_500), ("藍屋 Aiya", "T9876543210987", 2_000)];
/// Who chats, asks and buys.
pub(super) const VIEWERS: [(&str, &str); 6] = [
    ("yui@demo.example", "ゆい"),
    ("haruto@demo.example", "はると"),
    ("mei@demo.example", "めい"),
    ("sota@demo.example", "そうた"),
    ("aoi@demo.example", "あおい"),
    ("riku@demo.example", "りく"),
];

/// What the demo consists of.
pub(super) struct House {
    pub(super) brands: Vec<Brand>,
}

struct Goods {
    brand: usize,
    title: &'static str,
    text: &'static str,
    motif: Motif,
    colours: (&'static str, &'static str),
    tax_rate_bp: i32,
    skus: &'static [(&'static str, i64, i64)],
}

/// Brand, title, SKUs as (variant, price, stock in the warehouse).
const GOODS: [Goods; 8] = [
    Goods {
        brand: 0,
        title: "花見団子 5本入り",
        text: "上新粉から毎朝つく三色団子。賞味期限は到着から2日。",
        motif: Motif::Sweet,
        colours: ("#fbe9ec", "#c8506b"),
        tax_rate_bp: 800,
        skus: &[("", 980, 80)],
    },
    Goods {
        brand: 0,
        title: "夜の梅 羊羹",
        text: "北海道産小豆と和三盆。切り口に夜の梅が咲く一本。",
        motif: Motif::Bar,
        colours: ("#f3ede2", "#4b2e39"),
        tax_rate_bp: 800,
        skus: &[("ハーフ", 1_280, 60), ("一本", 2_300, 40)],
    },
    Goods {
        brand: 0,
        title: "桜の練り切り 6個",
        text: "一つずつ手で仕上げる季節の生菓子。クール便でお届け。",
        motif: Motif::Sweet,
        colours: ("#eef3e4", "#b5577a"),
        tax_rate_bp: 800,
        skus: &[("", 2_480, 36)],
    },
    Goods {
        brand: 0,
        title: "宇治ほうじ茶",
        text: "低温でゆっくり焙じた茎ほうじ茶。水出しもできます。",
        motif: Motif::Tea,
        colours: ("#f6efe0", "#8a5a2b"),
        tax_rate_bp: 800,
        skus: &[("80g", 1_080, 120), ("ティーバッグ 20包", 1_380, 90)],
    },
    Goods {
        brand: 1,
        title: "藍染めリネンシャツ",
        text: "徳島の藍で十二回染め。洗うほどに青が育ちます。",
        motif: Motif::Shirt,
        colours: ("#e6ecf5", "#1f3a6e"),
        tax_rate_bp: 1_000,
        skus: &[("S / 藍", 14_800, 12), ("M / 藍", 14_800, 20), ("L / 藍", 14_800, 10)],
    },
    Goods {
        brand: 1,
        title: "青海波の手ぬぐい",
        text: "注染で両面を染めた一枚。約34×90cm、木綿100%。",
        motif: Motif::Towel,
        colours: ("#eef2f7", "#2f5c8f"),
        tax_rate_bp: 1_000,
        skus: &[("紺", 1_650, 70), ("朱", 1_650, 45)],
    },
    Goods {
        brand: 1,
        title: "刺し子トートバッグ",
        text: "厚手の帆布に刺し子。A4と水筒が入ります。",
        motif: Motif::Bag,
        colours: ("#f2ece2", "#26436f"),
        tax_rate_bp: 1_000,
        skus: &[("", 6_800, 25)],
    },
    Goods {
        brand: 1,
        title: "藍のストール",
        text: "ガーゼ織りを二度染め。首に沿う軽さ。",
        motif: Motif::Towel,
        colours: ("#f5eef0", "#35507f"),
        tax_rate_bp: 1_000,
        skus: &[("浅葱", 8_800, 18), ("紺", 8_800, 18)],
    },
];

/// Fills an empty database; gives what is there when it was filled before.
pub(super) async fn fill(app: &App, say: impl Fn(&str)) -> anyhow::Result<House> {
    if let Some(house) = find(app).await? {
        return Ok(house);
    }
    say("making brands, livers and viewers …");
    let operator = app.people.find_by_email(OPERATOR).await?.context("the operator was made at start")?;
    let brands = add_brands(app).await?;
    say("filling a warehouse and two stores …");
    let places = add_places(app).await?;
    for goods in &GOODS {
        let product = app.checkout.add_product(&brands[goods.brand].id, &goods.product()).await?;
        stock_up(app, &operator, &product, goods, &places).await?;
    }
    for (email, name) in VIEWERS {
        sign_up(app, email, name).await?;
    }
    for (email, name) in [SECOND_LIVER, LIVER] {
        let liver = sign_up(app, email, name).await?;
        app.people.add_liver(&liver.account.id, name).await?;
    }
    // Last: whoever is found by this address was filled to the end.
    for (email, brand) in BRAND_MEMBERS.iter().zip(&brands).rev() {
        let member = sign_up(app, email, &brand.name).await?;
        app.people.add_brand_member(&brand.id, &member.account.id).await?;
    }
    Ok(House { brands })
}

async fn find(app: &App) -> anyhow::Result<Option<House>> {
    let mut brands = Vec::new();
    for email in BRAND_MEMBERS {
        let Some(account) = app.people.find_by_email(email).await? else { return Ok(None) };
        let person = app.people.load(&account).await?;
        let (id, name) =
            person.brands.first().cloned().context("a brand's member has a brand; run `make demo-reset`")?;
        brands.push(Brand { id, name, invoice_number: None, commission_bp: 0 });
    }
    Ok(Some(House { brands }))
}

async fn sign_up(app: &App, email: &str, name: &str) -> anyhow::Result<Person> {
    let new =
        NewPerson { email: email.to_owned(), password: PASSWORD.to_owned(), display_name: name.to_owned(), demo: true };
    match app.people.find_by_email(email).await? {
        // A fill that was cut short goes on.
        Some(account) => Ok(app.people.load(&account).await?),
        None => Ok(app.people.sign_up(new).await?),
    }
}

async fn add_brands(app: &App) -> anyhow::Result<Vec<Brand>> {
    let mut brands = Vec::new();
    for (name, number, commission_bp) in BRANDS {
        let new = NewBrand { name: name.to_owned(), invoice_number: Some(number.to_owned()), commission_bp };
        brands.push(app.people.add_brand(new).await?);
    }
    Ok(brands)
}

async fn add_places(app: &App) -> anyhow::Result<Vec<LocationId>> {
    let places = [
        (PlaceKind::Warehouse, "川口倉庫", "埼玉県川口市"),
        (PlaceKind::Store, "渋谷店", "東京都渋谷区"),
        (PlaceKind::Store, "京都四条店", "京都府京都市下京区"),
    ];
    let mut ids = Vec::new();
    for (kind, name, address) in places {
        let new = NewLocation {
            kind,
            name: name.to_owned(),
            address: address.to_owned(),
            latitude: None,
            longitude: None,
            phone: String::new(),
            map_url: String::new(),
            services: None,
            hours: Hours::default(),
        };
        ids.push(app.omo.add_location(new).await?.id);
    }
    Ok(ids)
}

impl Goods {
    fn product(&self) -> NewProduct {
        NewProduct {
            title: self.title.to_owned(),
            description: self.text.to_owned(),
            image_svg: Some(picture(self.motif, self.colours.0, self.colours.1)),
            skus: self
                .skus
                .iter()
                .map(|(variant, price, _)| NewSku {
                    variant: (*variant).to_owned(),
                    jan: None,
                    price_minor: *price,
                    tax_rate_bp: self.tax_rate_bp,
                })
                .collect(),
        }
    }
}

async fn stock_up(
    app: &App,
    operator: &AccountId,
    product: &Product,
    goods: &Goods,
    places: &[LocationId],
) -> anyhow::Result<()> {
    for (sku, (_, _, units)) in product.skus.iter().zip(goods.skus) {
        for (place, share) in places.iter().zip([*units, units / 6, units / 8]) {
            if share == 0 {
                continue;
            }
            let fact = StockFact {
                account: operator.clone(),
                key: format!("seed:{}:{place}", sku.id),
                body_hash: String::new(),
                location: place.clone(),
                kind: FactClass::Adjustment,
                moves: vec![(sku.id.clone(), Move::By { delta: share, kind: FactKind::Receive })],
            };
            app.sequencer.record(fact).await?;
        }
    }
    Ok(())
}
