//! Edge: Janus, to be compared with: its video room over its HTTP interface.
//!
//! Owns its configuration (two event loops, nothing but the video room) and the few requests that a publisher
//! and a viewer need. Janus takes no loopback interface, so it is met on this host's other address.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{
    client,
    server::{Folder, Killed, LOOK_EVERY, free_port},
};

/// It listens within this.
const START_WITHIN: Duration = Duration::from_secs(10);
/// What it was asked for comes within so many of its events.
const MAX_EVENTS: usize = 20;
/// An address of documentation: nothing is sent there, but the kernel says from where it would be.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 1), 9);
const ROOM: u32 = 1;
const PUBLISHER: u32 = 1;
/// What a whole room of viewers asks it at once is nothing to wait for longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Where Debian puts its plugins.
fn libraries() -> Option<PathBuf> {
    let of_architecture = |entry: std::fs::DirEntry| entry.path().join("janus");
    let mut folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(of_architecture);
    folders.find(|folder| folder.join("plugins/libjanus_videoroom.so").is_file())
}

/// Is it installed?
pub fn is_installed() -> bool {
    let version = Command::new("janus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok() && libraries().is_some() && own_address().is_some()
}

/// An address of this host that is not a loopback one.
fn own_address() -> Option<IpAddr> {
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    probe.connect(ELSEWHERE).ok()?;
    probe.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

/// A running Janus with a room.
pub struct Janus {
    child: Killed,
    http: reqwest::Client,
    base: String,
    /// Where its peers have to be.
    pub ip: IpAddr,
    /// Dropped last: its configuration is there.
    _folder: Folder,
}

/// Somebody who is in contact with it.
pub struct Handle<'a> {
    janus: &'a Janus,
    session: String,
    path: String,
}

impl Janus {
    /// Starts it, and opens the room.
    pub async fn start() -> anyhow::Result<Self> {
        let (port, folder) = (free_port()?, Folder::fresh()?);
        let ip = own_address().context("this host has loopback addresses only")?;
        let libraries = libraries().context("no plugins of Janus")?;
        std::fs::write(folder.path().join("janus.jcfg"), configuration(folder.path(), &libraries, ip)?)?;
        let transport = format!(
            "general: {{ json = \"compact\" base_path = \"/janus\" http = true port = {port} ip = \"127.0.0.1\" https = false }}\n\
             admin: {{ admin_http = false admin_https = false }}\n"
        );
        std::fs::write(folder.path().join("janus.transport.http.jcfg"), transport)?;
        let mut command = Command::new("janus");
        command.arg("-C").arg(folder.path().join("janus.jcfg")).arg("-F").arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Killed(command.spawn().context("cannot run janus")?);
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        let janus = Self {
            child,
            http,
            base: format!("http://{}/janus", SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            ip,
            _folder: folder,
        };
        janus.until_ready().await?;
        let room = janus.enter().await?;
        let wish = json!({
            "request": "create", "room": ROOM, "publishers": 2, "bitrate": 0, "fir_freq": 0, "notify_joining": false,
            "videocodec": "h264", "h264_profile": "42e01f", "audiocodec": "opus",
        });
        room.ask(&wish, None).await?;
        Ok(janus)
    }

    async fn until_ready(&self) -> anyhow::Result<()> {
        let by = Instant::now() + START_WITHIN;
        while self.http.get(format!("{}/info", self.base)).send().await.is_err() {
            if Instant::now() > by {
                bail!("Janus does not listen");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The process, as the system calls it.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Comes into contact with the video room.
    pub async fn enter(&self) -> anyhow::Result<Handle<'_>> {
        let session = id(&self.post("", json!({ "janus": "create" })).await?)?;
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
        let handle = id(&self.post(&format!("/{session}"), attach).await?)?;
        Ok(Handle { janus: self, path: format!("/{session}/{handle}"), session })
    }

    async fn post(&self, path: &str, mut body: Value) -> anyhow::Result<Value> {
        body["transaction"] = client::fresh_name().into();
        let answer: Value = self.http.post(format!("{}{path}", self.base)).json(&body).send().await?.json().await?;
        if !matches!(answer["janus"].as_str(), Some("success" | "ack")) {
            bail!("Janus answered {answer}");
        }
        Ok(answer)
    }
}

impl Handle<'_> {
    async fn ask(&self, body: &Value, jsep: Option<Value>) -> anyhow::Result<()> {
        let mut message = json!({ "janus": "message", "body": body });
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        let answer = self.janus.post(&self.path, message).await?;
        let error = &answer["plugindata"]["data"]["error"];
        if error.is_null() { Ok(()) } else { bail!("Janus answered {answer}") }
    }

    /// Waits for its session description.
    async fn description(&self) -> anyhow::Result<String> {
        for _ in 0..MAX_EVENTS {
            let url = format!("{}/{}?maxev=1", self.janus.base, self.session);
            let event: Value = self.janus.http.get(url).send().await?.json().await?;
            if let Some(sdp) = event["jsep"]["sdp"].as_str() {
                return Ok(sdp.to_owned());
            }
            if !event["plugindata"]["data"]["error"].is_null() {
                bail!("Janus says {event}");
            }
        }
        bail!("Janus has no session description")
    }

    /// Publishes; gives its answer.
    pub async fn publish(&self, offer: &str) -> anyhow::Result<String> {
        let wish = json!({ "request": "joinandconfigure", "ptype": "publisher", "room": ROOM, "id": PUBLISHER });
        self.ask(&wish, Some(json!({ "type": "offer", "sdp": offer }))).await?;
        self.description().await
    }

    /// Asks to watch; gives its offer.
    pub async fn watch(&self) -> anyhow::Result<String> {
        let wish =
            json!({ "request": "join", "ptype": "subscriber", "room": ROOM, "streams": [{ "feed": PUBLISHER }] });
        self.ask(&wish, None).await?;
        self.description().await
    }

    /// Answers its offer.
    pub async fn answer(&self, answer: &str) -> anyhow::Result<()> {
        self.ask(&json!({ "request": "start" }), Some(json!({ "type": "answer", "sdp": answer }))).await
    }
}

fn id(answer: &Value) -> anyhow::Result<String> {
    Ok(answer["data"]["id"].as_u64().with_context(|| format!("Janus gave no id: {answer}"))?.to_string())
}

fn configuration(folder: &Path, libraries: &Path, ip: IpAddr) -> anyhow::Result<String> {
    let others = |kind: &str, wanted: &str| {
        let names = std::fs::read_dir(libraries.join(kind))?.flatten().map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        let others: Vec<String> = names.filter(|name| name.ends_with(".so") && !name.contains(wanted)).collect();
        anyhow::Ok(others.join(","))
    };
    let (plugins, transports) = (others("plugins", "videoroom")?, others("transports", "http")?);
    let (folder, libraries) = (folder.display(), libraries.display());
    Ok(format!(
        "general: {{ configs_folder = \"{folder}\" plugins_folder = \"{libraries}/plugins\" \
         transports_folder = \"{libraries}/transports\" debug_level = 1 session_timeout = 0 event_loops = 2 }}\n\
         media: {{ }}\n\
         nat: {{ ice_enforce_list = \"{ip}\" }}\n\
         plugins: {{ disable = \"{plugins}\" }}\n\
         transports: {{ disable = \"{transports}\" }}\n"
    ))
}
