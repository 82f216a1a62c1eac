//! Everybody wants the same thing in the same second.

use std::collections::HashMap;

use serde_json::json;

use crate::{
    both_databases,
    harness::{Actor, Books, Engine, House, Plan, Sale, fresh_name},
};

const BUYERS: usize = 200;
const UNITS: i64 = 50;

both_databases!(two_hundred_buyers_race_for_fifty_units, async |engine: Engine| {
    let house = House::open(engine).await;
    let sale = Sale::open(&house, Plan { units: UNITS, ..Plan::default() }).await;
    let mut arriving = tokio::task::JoinSet::new();
    for n in 0..BUYERS {
        let base = house.base();
        arriving.spawn(async move { Actor::sign_up(&base, &format!("買い手{n}")).await });
    }
    let buyers = arriving.join_all().await;
    let mut race = tokio::task::JoinSet::new();
    for buyer in buyers {
        let offer = sale.offer.clone();
        race.spawn(async move {
            let wish = json!({ "offer_id": offer, "qty": 1, "payment_method": "sandbox_card" });
            let key = fresh_name();
            let answer = buyer.post_with_key("/v1/purchases", &key, wish.clone()).await;
            (buyer, key, wish, answer)
        });
    }
    let mut told: HashMap<String, usize> = HashMap::new();
    for (buyer, key, wish, answer) in race.join_all().await {
        if answer.status == 201 {
            *told.entry("sold".to_owned()).or_default() += 1;
            let paid = buyer.until(&answer.body, "authorized").await;
            assert!(paid["order_id"].is_string());
            let again = buyer.post_with_key("/v1/purchases", &key, wish).await.expect(201);
            assert_eq!(again["id"], paid["id"], "the same tap has the same answer");
        } else {
            *told.entry(answer.refused()).or_default() += 1;
        }
    }
    assert_eq!(told, HashMap::from([("sold".to_owned(), 50), ("sold-out".to_owned(), 150)]));
    assert_eq!(sale.available().await, 0);
    let House { server, database, .. } = house;
    server.stop().await;
    let books = Books::check(&database.url).await;
    assert_eq!((books.orders, books.units_sold, books.held), (50, 50, 0));
});
