//! Keeping order: who disturbs is muted or banned, what disturbs is refused or taken away, and all of it is written down.

use std::{net::IpAddr, time::Duration};

use hanamichi::clock::Clock;
use serde_json::{Value, json};

use crate::{
    both_databases,
    harness::{Actor, Answer, Engine, House, PATIENCE, Plan, Sale, add_liver, text, verify},
    hub::Socket,
};

/// A live with a liver, and the paths that stories go.
struct Room {
    clock: Clock,
    sale: Sale,
    path: String,
    liver_id: String,
}

impl Room {
    async fn open(house: &House) -> Self {
        let sale = Sale::open(house, Plan::default()).await;
        let path = format!("/v1/lives/{}", sale.live);
        let liver_id = text(&sale.liver.me, "liver_id");
        Self { clock: house.clock.clone(), sale, path, liver_id }
    }

    async fn say(&self, who: &Actor, line: &str) -> Answer {
        who.post(&format!("{}/chat", self.path), json!({ "text": line })).await
    }

    async fn said(&self, who: &Actor, line: &str) -> String {
        text(&self.say(who, line).await.expect(201), "id")
    }

    async fn ask(&self, who: &Actor, question: &str) -> Answer {
        who.post(&format!("{}/questions", self.path), json!({ "text": question })).await
    }

    /// A connection and its snapshot, which is made anew: a moment has passed since the last one.
    async fn join(&self, who: &Actor) -> (Socket, Value) {
        self.clock.advance(Duration::from_secs(1));
        let mut socket = Socket::join(who, &self.sale.live, json!({})).await;
        let snapshot =
            socket.until("a snapshot", |f| f["snapshot"]["epoch"].as_str().map(|_| f["snapshot"].clone())).await;
        (socket, snapshot)
    }

    async fn name_moderator(&self, who: &Actor) {
        let named = self.sale.liver.post("/v1/me/moderators", json!({ "email": who.me["email"] })).await.expect(201);
        assert_eq!(named["account_id"], who.me["account_id"]);
    }

    /// What the log holds, newest first.
    async fn deeds(&self, who: &Actor) -> Vec<Value> {
        let log = who.get(&format!("{}/moderation-log?limit=100", self.path)).await.expect(200);
        log["items"].as_array().expect("a list").clone()
    }

    async fn rules(&self, slow_mode_s: i32, followers_only: bool) {
        let rules = json!({ "slow_mode_s": slow_mode_s, "followers_only": followers_only });
        assert_eq!(self.sale.liver.put(&format!("{}/chat-rules", self.path), rules.clone()).await.expect(200), rules);
        let told = async {
            while self.sale.liver.get(&format!("{}/chat-rules", self.path)).await.expect(200) != rules {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("the room hears of its rules");
    }
}

/// The events of a kind that a frame holds.
fn all_ordered(frame: &Value, kind: &str) -> Vec<Value> {
    let events = frame["batch"]["ordered"].as_array().into_iter().flatten();
    events.filter(|o| o[kind].is_object()).map(|o| o[kind].clone()).collect()
}

/// The last of them.
fn ordered(frame: &Value, kind: &str) -> Option<Value> {
    all_ordered(frame, kind).pop()
}

async fn standing(socket: &mut Socket) -> Value {
    socket
        .until("a standing", |f| f["personal"]["standing"].as_object().map(|_| f["personal"]["standing"].clone()))
        .await
}

/// The room's last words to a connection.
async fn goodbye(mut socket: Socket) -> Value {
    let mut goodbye = Value::Null;
    while let Some(frame) = socket.next().await {
        if frame["goodbye"].is_object() {
            goodbye = frame["goodbye"].clone();
        }
    }
    goodbye
}

/// The problem of a connection that is not let in.
async fn kept_out(who: &Actor, live: &str) -> Option<String> {
    use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest, http::HeaderValue};
    let url = format!("{}/v1/lives/{live}/hub", who.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("an address");
    if !who.cookie.is_empty() {
        request.headers_mut().insert("cookie", HeaderValue::from_str(&who.cookie).expect("text"));
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok(_) => None,
        Err(Error::Http(answer)) => {
            assert_eq!(answer.status(), 403);
            let body: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).expect("JSON");
            Some(text(&body, "type"))
        }
        Err(error) => panic!("neither in nor out: {error}"),
    }
}

both_databases!(who_is_muted_may_watch_and_not_take_part, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let (noisy, other) = (Actor::sign_up(&house.base(), "ゆい").await, Actor::sign_up(&house.base(), "はると").await);
    let (mut socket, _) = room.join(&noisy).await;
    let before = standing(&mut socket).await;
    assert_eq!(before, json!({ "role": "viewer" }), "told right after the first frame");
    let line = room.said(&noisy, "うるさい").await;
    let question = text(&room.ask(&other, "何色？").await.expect(201), "id");
    let mutes = format!("{}/mutes", room.path);
    let wish = json!({ "chat_id": line, "duration_s": 60 });
    assert_eq!(other.post(&mutes, wish.clone()).await.refused(), "forbidden", "not anybody's to do");
    let mute = room.sale.liver.post(&mutes, wish).await.expect(201);
    assert_eq!(
        (mute["display_name"].as_str(), mute["customer_id"].clone()),
        (Some("ゆい"), noisy.me["customer_id"].clone())
    );
    let told = standing(&mut socket).await;
    assert_eq!(told["mutedUntilMs"], mute["until_ms"].to_string(), "{told}");
    // The answer to the mute came after it held.
    let refused = room.say(&noisy, "なんで").await;
    assert_eq!(refused.body["retry_after_ms"], 60_000);
    assert_eq!(refused.refused(), "muted");
    assert_eq!(room.ask(&noisy, "なんで？").await.refused(), "muted");
    assert_eq!(noisy.post(&format!("/v1/questions/{question}/upvote"), json!({})).await.refused(), "muted");
    let reply = socket.ask(json!({ "sendChat": { "text": "おーい" } })).await;
    assert_eq!(reply["problem"]["type"], "/problems/muted");
    room.said(&other, "静かになった").await;
    // It ends by itself …
    house.clock.advance(Duration::from_secs(60));
    room.said(&noisy, "ただいま").await;
    assert!(room.sale.liver.get(&mutes).await.expect(200)["items"].as_array().expect("a list").is_empty());
    // … or is lifted; one for good holds in every live of the liver.
    let mute = room.sale.liver.post(&mutes, json!({ "chat_id": line, "everywhere": true })).await.expect(201);
    assert_eq!(standing(&mut socket).await["mutedUntilMs"], "-1");
    let next = room.sale.liver.post("/v1/lives", json!({ "title": "次" })).await.expect(201);
    let next = format!("/v1/lives/{}/chat", text(&next, "id"));
    assert_eq!(noisy.post(&next, json!({ "text": "ここなら" })).await.refused(), "muted");
    let listed = room.sale.liver.get(&mutes).await.expect(200);
    assert_eq!(listed["items"][0]["id"], mute["id"]);
    let path = format!("{mutes}/{}", text(&mute, "id"));
    room.sale.liver.delete(&path).await.expect(204);
    assert_eq!(room.sale.liver.delete(&path).await.refused(), "not-found");
    assert!(standing(&mut socket).await["mutedUntilMs"].is_null());
    noisy.post(&next, json!({ "text": "ここなら" })).await.expect(201);
    assert_eq!(room.sale.liver.post(&mutes, json!({})).await.refused(), "invalid-input");
    let forever = json!({ "question_id": question, "duration_s": 0 });
    assert_eq!(room.sale.liver.post(&mutes, forever).await.refused(), "invalid-input");
});

both_databases!(who_is_banned_leaves_and_stays_out_of_all_the_livers_lives, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let base = house.base();
    let (troll, fan) = (Actor::sign_up(&base, "トロル").await, Actor::sign_up(&base, "ファン").await);
    let (mut watching, _) = room.join(&fan).await;
    let (here, _) = room.join(&troll).await;
    let next = room.sale.liver.post("/v1/lives", json!({ "title": "次" })).await.expect(201);
    let there = Socket::join(&troll, &text(&next, "id"), json!({})).await;
    let lines = [room.said(&troll, "荒らし").await, room.said(&troll, "また荒らし").await];
    let kept = room.said(&fan, "やめて").await;
    let bans = format!("{}/bans", room.path);
    let ban = room.sale.liver.post(&bans, json!({ "chat_id": lines[0], "delete_lines": true })).await.expect(201);
    assert_eq!((ban["display_name"].as_str(), ban["deleted_lines"].as_u64()), (Some("トロル"), Some(2)));
    for socket in [here, there] {
        let said = goodbye(socket).await;
        assert_eq!(said, json!({ "reason": "banned", "reconnectAfterMs": "-1" }));
    }
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let frame = watching.next().await.expect("the hub goes on");
        gone.extend(all_ordered(&frame, "chatDeleted").into_iter().map(|deleted| text(&deleted, "chatId")));
    }
    gone.sort();
    assert_eq!(gone, lines);
    let chat = fan.get(&format!("{}/chat", room.path)).await.expect(200);
    let left: Vec<_> = chat["items"].as_array().expect("a list").iter().map(|line| text(line, "id")).collect();
    assert_eq!(left, [kept]);
    assert_eq!(kept_out(&troll, &room.sale.live).await.as_deref(), Some("/problems/banned"));
    assert_eq!(kept_out(&troll, &text(&next, "id")).await.as_deref(), Some("/problems/banned"));
    assert_eq!(room.say(&troll, "まだいる").await.refused(), "banned");
    assert_eq!(room.ask(&troll, "なぜ？").await.refused(), "banned");
    let offer = troll.request(reqwest::Method::POST, &format!("{}/whep", room.path));
    let offer = offer.header("content-type", "application/sdp").body("v=0\r\n");
    assert_eq!(troll.send(offer).await.refused(), "banned", "nor may they watch");
    // Another liver's live is another house.
    let rival = add_liver(&room.sale.operator, "蓮").await;
    let elsewhere = rival.post("/v1/lives", json!({ "title": "別の家" })).await.expect(201);
    assert_eq!(kept_out(&troll, &text(&elsewhere, "id")).await, None);
    let listed = room.sale.liver.get(&bans).await.expect(200);
    assert_eq!(listed["items"][0]["id"], ban["id"]);
    // It is stored: the next process knows it too.
    let (live, path) = (room.sale.live.clone(), format!("{bans}/{}", text(&ban, "id")));
    let house = house.reopen().await;
    let (troll, liver) = (troll.at(&house.base()), room.sale.liver.at(&house.base()));
    assert_eq!(kept_out(&troll, &live).await.as_deref(), Some("/problems/banned"));
    liver.delete(&path).await.expect(204);
    assert_eq!(kept_out(&troll, &live).await, None, "until it is lifted");
});

both_databases!(a_ban_by_address_keeps_out_who_comes_from_there, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let base = house.base();
    let troll = Actor::sign_up(&base, "トロル").await;
    let (guest, _) = room.join(&Actor::guest(&base)).await;
    let (here, _) = room.join(&troll).await;
    let (mut studio, _) = room.join(&room.sale.liver).await;
    let question = text(&room.ask(&troll, "荒らし？").await.expect(201), "id");
    let wish = json!({ "question_id": question, "with_address": true });
    let ban = room.sale.liver.post(&format!("{}/bans", room.path), wish).await.expect(201);
    for socket in [here, guest] {
        assert_eq!(goodbye(socket).await["reason"], "banned", "the person, and who sits at the same address");
    }
    let again = Actor::sign_up(&base, "別名").await;
    assert_eq!(
        kept_out(&again, &room.sale.live).await.as_deref(),
        Some("/problems/banned"),
        "another name helps nothing"
    );
    assert_eq!(room.say(&again, "別人です").await.refused(), "banned");
    let elsewhere: IpAddr = [127, 0, 0, 2].into();
    let client = reqwest::Client::builder().local_address(elsewhere).build().expect("a client");
    let line = client
        .post(format!("{base}{}/chat", room.path))
        .header("cookie", &again.cookie)
        .json(&json!({ "text": "別の場所から" }));
    assert_eq!(line.send().await.expect("the server answers").status(), 201, "another address is another household");
    let reply = studio.ask(json!({ "sendChat": { "text": "静かにね" } })).await;
    assert!(reply["chat"]["id"].is_string(), "the liver shares the address and stays: {reply}");
    room.sale.liver.delete(&format!("{}/bans/{}", room.path, text(&ban, "id"))).await.expect(204);
    assert_eq!(kept_out(&again, &room.sale.live).await, None);
    assert_eq!(kept_out(&troll, &room.sale.live).await, None);
});

both_databases!(slow_mode_spaces_the_viewers_lines, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let (mut socket, snapshot) = room.join(&viewer).await;
    assert_eq!(snapshot["chatRules"], json!({}), "none at first: {snapshot}");
    room.rules(30, false).await;
    let told = socket.until("the rules", |f| ordered(f, "chatRulesChanged")).await;
    assert_eq!((told["slowModeS"].as_i64(), told["version"].as_str()), (Some(30), Some("1")));
    room.said(&viewer, "一").await;
    let refused = room.say(&viewer, "二").await;
    assert_eq!(refused.body["retry_after_ms"], 30_000);
    assert_eq!(refused.refused(), "slow-mode");
    house.clock.advance(Duration::from_secs(30));
    room.said(&viewer, "二").await;
    for _ in 0..8 {
        room.said(&room.sale.liver, "どうぞ").await;
    }
    let (_, snapshot) = room.join(&viewer).await;
    assert_eq!(snapshot["chatRules"]["slowModeS"], 30);
    for bad in [121, -1] {
        let rules = json!({ "slow_mode_s": bad, "followers_only": false });
        assert_eq!(room.sale.liver.put(&format!("{}/chat-rules", room.path), rules).await.refused(), "invalid-input");
    }
    let rules = json!({ "slow_mode_s": 0, "followers_only": false });
    assert_eq!(viewer.put(&format!("{}/chat-rules", room.path), rules).await.refused(), "forbidden");
    room.rules(0, false).await;
    room.said(&viewer, "三").await;
});

both_databases!(where_only_followers_talk_one_tap_lets_one_in, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let (mut socket, _) = room.join(&viewer).await;
    standing(&mut socket).await;
    room.rules(0, true).await;
    assert_eq!(room.say(&viewer, "一").await.refused(), "followers-only");
    room.ask(&viewer, "質問はいい？").await.expect(201);
    let follow = format!("/v1/livers/{}/follow", room.liver_id);
    viewer.put(&follow, json!({})).await.expect(204);
    assert_eq!(standing(&mut socket).await["following"], true);
    room.said(&viewer, "二").await;
    let nobody = "/v1/livers/lvr_01j8x2k4m6n8p0q2r4s6t8v0w0/follow";
    assert_eq!(viewer.put(nobody, json!({})).await.refused(), "not-found");
    let house = house.reopen().await;
    let viewer = viewer.at(&house.base());
    room.said(&viewer, "三").await;
    let (mut socket, snapshot) = room.join(&viewer).await;
    assert_eq!(snapshot["chatRules"]["followersOnly"], true);
    assert_eq!(standing(&mut socket).await["following"], true, "followers and rules are remembered");
    viewer.delete(&follow).await.expect(204);
    assert!(standing(&mut socket).await["following"].is_null());
    assert_eq!(room.say(&viewer, "四").await.refused(), "followers-only");
});

both_databases!(a_refused_word_is_refused_however_it_is_written, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let words = format!("/v1/livers/{}/words", room.liver_id);
    let liver = &room.sale.liver;
    let list = liver.post(&words, json!({ "words": ["しね", "Spam", "ｼﾈ"] })).await.expect(200);
    let texts: Vec<_> = list["items"].as_array().expect("a list").iter().map(|word| text(word, "word")).collect();
    assert_eq!(texts, ["しね", "Spam"], "the same word twice is one");
    for line in ["死 ね", "ｼﾈ", "シネ", "し・ー・ね", "ｓｐａｍ", "S P A M"] {
        assert_eq!(room.say(&viewer, line).await.refused(), "word-refused", "{line}");
    }
    assert_eq!(room.ask(&viewer, "シ\u{200b}ネ？").await.refused(), "word-refused");
    room.said(&viewer, "すてき").await;
    room.said(liver, "spam はだめ").await;
    assert_eq!(viewer.get(&words).await.refused(), "forbidden");
    assert_eq!(viewer.post(&words, json!({ "words": ["x"] })).await.refused(), "forbidden");
    assert_eq!(liver.post(&words, json!({ "words": ["！！"] })).await.refused(), "invalid-input");
    let many: Vec<_> = (0..499).map(|n| format!("word{n}x")).collect();
    assert_eq!(liver.post(&words, json!({ "words": many })).await.refused(), "invalid-input", "501 are too many");
    assert_eq!(liver.get(&words).await.expect(200)["items"].as_array().map(Vec::len), Some(2), "all or nothing");
    let id = text(&list["items"][0], "id");
    liver.delete(&format!("{words}/{id}")).await.expect(204);
    assert_eq!(liver.delete(&format!("{words}/{id}")).await.refused(), "not-found");
    room.said(&viewer, "ｼﾈ").await;
});

both_databases!(a_line_is_put_on_top_and_taken_away, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let viewer = Actor::sign_up(&house.base(), "ゆい").await;
    let (mut socket, snapshot) = room.join(&viewer).await;
    assert!(snapshot["chatPinned"].is_null());
    let (first, second) = (room.said(&viewer, "送料は？").await, room.said(&viewer, "無料です").await);
    let top = format!("{}/chat-pin", room.path);
    assert_eq!(viewer.put(&top, json!({ "chat_id": first })).await.refused(), "forbidden");
    for (n, line) in [&first, &second].into_iter().enumerate() {
        room.sale.liver.put(&top, json!({ "chat_id": line })).await.expect(200);
        let told = socket.until("the pin", |f| ordered(f, "chatPinned")).await;
        assert_eq!((&told["message"]["id"], &told["version"]), (&json!(line), &json!((n + 1).to_string())));
    }
    let (_, snapshot) = room.join(&viewer).await;
    assert_eq!(snapshot["chatPinned"]["message"]["text"], "無料です");
    // A deleted line is not on top either.
    room.sale.liver.delete(&format!("{}/chat/{second}", room.path)).await.expect(204);
    room.sale.liver.delete(&format!("{}/chat/{second}", room.path)).await.expect(204);
    socket.until("the deletion", |f| ordered(f, "chatDeleted").filter(|d| d["chatId"] == json!(second))).await;
    let house = house.reopen().await;
    let (viewer, liver) = (viewer.at(&house.base()), room.sale.liver.at(&house.base()));
    let (mut socket, snapshot) = room.join(&viewer).await;
    assert!(snapshot["chatPinned"].is_null(), "{snapshot}");
    let left: Vec<_> = snapshot["chat"].as_array().expect("a list").iter().map(|line| text(line, "id")).collect();
    assert_eq!(left, std::slice::from_ref(&first), "what was deleted stays deleted");
    assert_eq!(liver.put(&top, json!({ "chat_id": second })).await.refused(), "not-found");
    liver.put(&top, json!({ "chat_id": first })).await.expect(200);
    liver.delete(&top).await.expect(204);
    let told = socket.until("nothing on top", |f| ordered(f, "chatPinned").filter(|p| p["message"].is_null())).await;
    assert_eq!(told["version"], "5");
    let foreign = "msg_01j8x2k4m6n8p0q2r4s6t8v0w0";
    assert_eq!(liver.delete(&format!("{}/chat/{foreign}", room.path)).await.refused(), "not-found");
});

both_databases!(moderators_keep_order_for_the_liver_and_all_is_written_down, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let base = house.base();
    let (moderator, second) = (Actor::sign_up(&base, "守").await, Actor::sign_up(&base, "護").await);
    let troll = Actor::sign_up(&base, "トロル").await;
    let (mut socket, _) = room.join(&moderator).await;
    assert_eq!(standing(&mut socket).await["role"], "viewer");
    assert_eq!(
        moderator.post("/v1/me/moderators", json!({ "email": second.me["email"] })).await.refused(),
        "forbidden"
    );
    room.name_moderator(&moderator).await;
    room.name_moderator(&second).await;
    assert_eq!(standing(&mut socket).await["role"], "moderator");
    let named = room.sale.liver.get("/v1/me/moderators").await.expect(200);
    assert_eq!(named["items"].as_array().expect("a list").len(), 2);
    // Their word is marked, and free of the chat's rules and rates.
    room.rules(60, true).await;
    let line = room.say(&moderator, "ルールを守ってね").await.expect(201);
    assert_eq!(line["author_role"], "moderator");
    for _ in 0..8 {
        room.said(&moderator, "守ってね").await;
    }
    room.rules(0, false).await;
    let bad = room.said(&troll, "わるい言葉").await;
    let question = text(&room.ask(&troll, "わるい質問？").await.expect(201), "id");
    // Everything that keeps order …
    moderator.delete(&format!("{}/chat/{bad}", room.path)).await.expect(204);
    moderator.post(&format!("/v1/questions/{question}/hide"), json!({})).await.expect(200);
    moderator.post(&format!("/v1/livers/{}/words", room.liver_id), json!({ "words": ["わるい"] })).await.expect(200);
    moderator.put(&format!("{}/chat-pin", room.path), json!({ "chat_id": line["id"] })).await.expect(200);
    let mute = moderator.post(&format!("{}/mutes", room.path), json!({ "chat_id": bad })).await.expect(201);
    moderator.post(&format!("{}/bans", room.path), json!({ "mute_id": mute["id"] })).await.expect(201);
    // … but nothing against the liver or each other.
    let (theirs, livers) = (room.said(&second, "なにか").await, room.said(&room.sale.liver, "なにか").await);
    for line in [&theirs, &livers] {
        for kind in ["mutes", "bans"] {
            let refused = moderator.post(&format!("{}/{kind}", room.path), json!({ "chat_id": line })).await;
            assert_eq!(refused.refused(), "conflict");
        }
    }
    let sales = moderator.get(&format!("{}/sales", room.path)).await;
    assert_eq!(sales.refused(), "forbidden", "the till is the liver's");
    // Whom the liver bans is no moderator any more.
    room.sale.liver.post(&format!("{}/bans", room.path), json!({ "chat_id": theirs })).await.expect(201);
    assert_eq!(second.get(&format!("{}/mutes", room.path)).await.refused(), "forbidden");
    let account = text(&moderator.me, "account_id");
    room.sale.liver.delete(&format!("/v1/me/moderators/{account}")).await.expect(204);
    assert_eq!(standing(&mut socket).await["role"], "viewer");
    assert_eq!(moderator.get(&format!("{}/moderation-log", room.path)).await.refused(), "forbidden");
    let deeds = room.deeds(&room.sale.liver).await;
    let actions: Vec<_> = deeds.iter().rev().map(|deed| text(deed, "action")).collect();
    let expected = [
        "moderation.name_moderator",
        "moderation.name_moderator",
        "moderation.chat_rules",
        "moderation.chat_rules",
        "moderation.delete_line",
        "question.hide",
        "moderation.word_add",
        "moderation.pin_line",
        "moderation.mute",
        "moderation.ban",
        "moderation.remove_moderator",
        "moderation.ban",
        "moderation.remove_moderator",
    ];
    assert_eq!(actions, expected);
    let ban = deeds.iter().rev().find(|deed| deed["action"] == "moderation.ban").expect("it is written down");
    assert_eq!((ban["by_name"].as_str(), ban["detail"]["name"].as_str()), (Some("守"), Some("トロル")));
    assert_eq!(ban["detail"]["customer_id"], troll.me["customer_id"]);
    let page = room.sale.liver.get(&format!("{}/moderation-log?limit=5", room.path)).await.expect(200);
    let cursor = text(&page, "next_cursor");
    let rest =
        room.sale.liver.get(&format!("{}/moderation-log?limit=100&cursor={cursor}", room.path)).await.expect(200);
    assert_eq!(rest["items"].as_array().expect("a list").len(), expected.len() - 5);
});

both_databases!(questions_are_merged_queued_and_become_chapters, async |engine: Engine| {
    let house = House::open_by_hand(engine).await;
    let room = Room::open(&house).await;
    let base = house.base();
    let mut people = Vec::new();
    for name in ["一郎", "二郎", "三郎", "四郎"] {
        people.push(Actor::sign_up(&base, name).await);
    }
    let [a, b, c, d] = [&people[0], &people[1], &people[2], &people[3]];
    let product = room.sale.product["id"].clone();
    let about = json!({ "text": "賞味期限は？", "product_id": product });
    let first = a.post(&format!("{}/questions", room.path), about).await.expect(201);
    assert_eq!(first["product_id"], product);
    let unknown = json!({ "text": "これは？", "product_id": "prd_01j8x2k4m6n8p0q2r4s6t8v0w0" });
    assert_eq!(b.post(&format!("{}/questions", room.path), unknown).await.refused(), "not-found", "it is not pinned");
    let second = room.ask(b, "いつまで食べられますか？").await.expect(201);
    let third = room.ask(c, "冷凍できますか？").await.expect(201);
    let [first, second, third] = [first, second, third].map(|question| text(&question, "id"));
    let vote = async |who: &Actor, question: &str| {
        who.post(&format!("/v1/questions/{question}/upvote"), json!({})).await.expect(200)
    };
    vote(a, &second).await;
    vote(c, &second).await;
    vote(c, &first).await;
    vote(d, &third).await;
    let queue = async || {
        let list = d.get(&format!("{}/questions?order=votes", room.path)).await.expect(200);
        let items = list["items"].as_array().expect("a list").clone();
        items.iter().map(|q| (text(q, "id"), q["votes"].as_i64().expect("a number"))).collect::<Vec<_>>()
    };
    assert_eq!(queue().await, [(second.clone(), 2), (first.clone(), 1), (third.clone(), 1)]);
    let page = d.get(&format!("{}/questions?order=votes&limit=2", room.path)).await.expect(200);
    let rest = format!("{}/questions?order=votes&limit=2&cursor={}", room.path, text(&page, "next_cursor"));
    assert_eq!(d.get(&rest).await.expect(200)["items"][0]["id"], json!(third));

    let (mut socket, _) = room.join(c).await;
    let merge = format!("/v1/questions/{second}/merge");
    assert_eq!(a.post(&merge, json!({ "into": first })).await.refused(), "forbidden");
    for _ in 0..2 {
        let merged = room.sale.liver.post(&merge, json!({ "into": first })).await.expect(200);
        // c voted for both and counts once; a asked the one that stays.
        assert_eq!((&merged["id"], merged["votes"].as_i64()), (&json!(first), Some(1)));
    }
    let mut told = Vec::new();
    while told.len() < 2 {
        let frame = socket.next().await.expect("the hub goes on");
        told.extend(frame["batch"]["ordered"].as_array().into_iter().flatten().map(|o| o["questionChanged"].clone()));
    }
    assert_eq!((told[0]["state"].as_str(), &told[0]["mergedInto"]), (Some("merged"), &json!(first)));
    assert_eq!((told[1]["id"].clone(), told[1]["votes"].as_i64()), (json!(first), Some(1)));
    assert_eq!(vote(d, &second).await["id"], json!(first), "a late vote goes where the votes are");
    let (_, snapshot) = room.join(c).await;
    assert_eq!(snapshot["upvotedQuestionIds"], json!([first]), "{snapshot}");
    assert_eq!(snapshot["questions"].as_array().expect("a list").len(), 2);
    assert_eq!(queue().await, [(first.clone(), 2), (third.clone(), 1)]);
    let own = json!({ "into": second });
    assert_eq!(room.sale.liver.post(&format!("/v1/questions/{third}/merge"), own).await.refused(), "conflict");

    let link = format!("/v1/questions/{third}/product");
    let linked = room.sale.liver.put(&link, json!({ "product_id": product })).await.expect(200);
    assert_eq!(linked["product_id"], product);
    let none = json!({ "product_id": "prd_01j8x2k4m6n8p0q2r4s6t8v0w0" });
    assert_eq!(room.sale.liver.put(&link, none).await.refused(), "not-found");
    assert_eq!(d.put(&link, json!({})).await.refused(), "forbidden");

    house.clock.advance(Duration::from_secs(60));
    let on_air = room.sale.liver.post(&format!("/v1/questions/{third}/answering"), json!({})).await.expect(200);
    assert_eq!(on_air["chapter_at_ms"], 62_000);
    house.clock.advance(Duration::from_secs(30));
    room.sale.liver.post(&format!("/v1/questions/{first}/answering"), json!({})).await.expect(200);
    room.sale.liver.post(&format!("/v1/questions/{first}/answered"), json!({})).await.expect(200);
    let chapters = Actor::guest(&base).get(&format!("{}/chapters?limit=1", room.path)).await.expect(200);
    assert_eq!((&chapters["items"][0]["id"], &chapters["items"][0]["state"]), (&json!(third), &json!("answered")));
    let rest = format!("{}/chapters?cursor={}", room.path, text(&chapters, "next_cursor"));
    let rest = Actor::guest(&base).get(&rest).await.expect(200);
    assert_eq!((&rest["items"][0]["id"], &rest["items"][0]["chapter_at_ms"]), (&json!(first), &json!(92_000)));
    // Told after it was stored: in the snapshot, or in what follows it.
    let (mut socket, snapshot) = room.join(c).await;
    let is_chapter = |q: &Value| q["id"] == json!(first) && q["chapterAtMs"] == "92000";
    if !snapshot["questions"].as_array().expect("a list").iter().any(is_chapter) {
        let told = |f: &Value| {
            let ordered = f["batch"]["ordered"].as_array().into_iter().flatten();
            ordered.map(|o| &o["questionChanged"]).any(is_chapter).then_some(())
        };
        socket.until("the chapter", told).await;
    }
    // The next process reads the votes from the database.
    let house = house.reopen().await;
    let (_, snapshot) = room.join(&c.at(&house.base())).await;
    assert_eq!(snapshot["upvotedQuestionIds"], json!([first]));
});

both_databases!(votes_and_merges_that_meet_lose_and_double_nobody, async |engine: Engine| {
    const QUESTIONS: usize = 4;
    const FANS: usize = 6;
    let house = House::open(engine).await;
    let room = Room::open(&house).await;
    let mut questions = Vec::new();
    for n in 0..QUESTIONS {
        let asker = Actor::sign_up(&house.base(), &format!("質問{n}")).await;
        questions.push(text(&room.ask(&asker, &format!("{n}番目ですか？")).await.expect(201), "id"));
    }
    let mut tasks = Vec::new();
    for n in 0..FANS {
        let (fan, questions) = (Actor::sign_up(&house.base(), &format!("ファン{n}")).await, questions.clone());
        tasks.push(tokio::spawn(async move {
            for at in 0..QUESTIONS {
                let question = &questions[(n + at) % QUESTIONS];
                fan.post(&format!("/v1/questions/{question}/upvote"), json!({})).await.expect(200);
            }
        }));
    }
    // One after the other is merged into the next, while people vote for all of them.
    for pair in questions.windows(2) {
        let merge = format!("/v1/questions/{}/merge", pair[0]);
        room.sale.liver.post(&merge, json!({ "into": pair[1] })).await.expect(200);
    }
    for task in tasks {
        task.await.expect("everybody has voted");
    }
    let list = room.sale.liver.get(&format!("{}/questions", room.path)).await.expect(200);
    let left: Vec<_> =
        list["items"].as_array().expect("a list").iter().map(|q| (text(q, "id"), q["votes"].clone())).collect();
    assert_eq!(left, [(questions[QUESTIONS - 1].clone(), json!(FANS))]);
    verify(&house.database.url).await;
});
