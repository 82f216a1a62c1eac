//! Shell: the demo's viewers: clients of the hub and the shop that chat, ask, upvote, react and buy.

use std::time::Duration;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Client, roll},
    host::wait,
    seed,
};
use crate::{ids::LiveId, tasks::Tasks};

/// Before somebody who lost the connection comes back.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

const LINES: [&str; 16] = [
    "こんにちは！",
    "きれいな色ですね",
    "待ってました〜",
    "手ぬぐい、プレゼントにしたい",
    "羊羹おいしそう…",
    "音声ちゃんと聞こえてます",
    "初見です、よろしくお願いします",
    "藍染め、育てるの楽しそう",
    "買いました！届くの楽しみ",
    "桜の季節にぴったり",
    "渋谷店でも見られますか？",
    "お茶と一緒にいただきたいです",
    "さくらさん今日もかわいい",
    "ラスト何個ですか？",
    "家族分まとめ買いします",
    "8888888",
];

const QUESTIONS: [&str; 10] = [
    "賞味期限はどのくらいですか？",
    "シャツは身長160cmだとどのサイズがいいですか？",
    "色落ちはしますか？洗い方も知りたいです",
    "のし・ギフト包装はできますか？",
    "羊羹はどうやって切るときれいに見えますか？",
    "ストールは夏でも使えますか？",
    "店舗でも同じ値段で買えますか？",
    "アレルギー表示を教えてください",
    "トートにはA4ファイルが入りますか？",
    "水出しは何分くらい置けばいいですか？",
];

const REACTIONS: [&str; 5] = ["heart", "clap", "laugh", "wow", "flower"];

/// Starts them all; they run until the server stops.
pub(super) fn start(base: &str, live: &LiveId, tasks: &Tasks) {
    for (email, _) in seed::VIEWERS {
        let (base, live, stopping) = (base.to_owned(), live.clone(), tasks.stopping());
        tasks.spawn("demo viewer", async move {
            while !stopping.is_cancelled() {
                if let Err(error) = visit(&base, email, &live, &stopping).await {
                    tracing::debug!(error = %error, "a demo viewer comes back");
                }
                wait(&stopping, COME_BACK_AFTER).await;
            }
        });
    }
}

async fn visit(base: &str, email: &str, live: &LiveId, stopping: &CancellationToken) -> anyhow::Result<()> {
    let client = Client::sign_in(base, email).await?;
    // They let it be noted what they saw, so that the demo's reports have something to tell.
    client.put("/v1/me/consents/touches", &json!({ "given": true })).await?;
    let url = format!("{}/v1/lives/{live}/hub", client.base().replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("cookie", HeaderValue::from_str(client.cookie())?);
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("hanamichi.v1.json"));
    let (socket, _) = tokio_tungstenite::connect_async(request).await?;
    let (mut send, mut hear) = socket.split();
    send.send(Message::text(json!({ "resume": {} }).to_string())).await?;
    let mut n = 1;
    let mut next = tokio::time::Instant::now() + pause();
    loop {
        tokio::select! {
            heard = hear.next() => {
                heard.context("the hub is gone")??;
            }
            () = stopping.cancelled() => return Ok(()),
            () = tokio::time::sleep_until(next) => {
                n += 1;
                next = tokio::time::Instant::now() + pause();
                if let Some(words) = say(n) {
                    send.send(Message::text(words.to_string())).await?;
                } else if let Err(error) = go_on(&client, live).await {
                    tracing::debug!(error = %error, "a demo viewer was told no");
                }
            }
        }
    }
}

/// People type at their own pace.
fn pause() -> Duration {
    Duration::from_millis(1_500 + u64::try_from(roll(7_000)).unwrap_or(0))
}

/// Something for the hub, most of the time.
fn say(n: u64) -> Option<Value> {
    match roll(10) {
        0..=3 => Some(json!({ "id": n.to_string(), "sendChat": { "text": LINES[roll(LINES.len())] } })),
        4 => Some(json!({ "id": n.to_string(), "ask": { "text": QUESTIONS[roll(QUESTIONS.len())] } })),
        5 | 6 => Some(json!({ "react": { "kind": REACTIONS[roll(REACTIONS.len())] } })),
        _ => None,
    }
}

/// Upvotes a question or buys something.
async fn go_on(client: &Client, live: &LiveId) -> anyhow::Result<()> {
    if roll(3) == 0 {
        let open = client.get(&format!("/v1/lives/{live}/questions?state=open")).await?;
        let items = open["items"].as_array().cloned().unwrap_or_default();
        let Some(question) = items.get(roll(items.len())) else { return Ok(()) };
        let id = question["id"].as_str().context("an id")?;
        return client.post(&format!("/v1/questions/{id}/upvote"), &json!({})).await.map(drop);
    }
    let pins = client.get(&format!("/v1/lives/{live}/pins")).await?;
    let items = pins["items"].as_array().cloned().unwrap_or_default();
    let Some(pin) = items.get(roll(items.len())) else { return Ok(()) };
    let offers = pin["offers"].as_array().cloned().unwrap_or_default();
    let Some(offer) = offers.get(roll(offers.len())) else { return Ok(()) };
    let id = offer["id"].as_str().context("an offer")?;
    let qty = 1 + roll(2);
    let sheet = client.get(&format!("/v1/offers/{id}/confirmation?qty={qty}")).await?;
    let wish =
        json!({ "offer_id": id, "qty": qty, "confirmation_hash": sheet["hash"], "payment_method": "sandbox_card" });
    let key = crate::ids::PurchaseId::fresh().to_string();
    client.post_with_key("/v1/purchases", &key, &wish).await.map(drop)
}
