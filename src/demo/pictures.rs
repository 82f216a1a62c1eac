//! Value: the demo's product pictures: drawn by the project, no photograph, no font needed.

use std::fmt::Write;

/// A picture of a product: its motif on coloured paper with a pattern.
pub(super) fn picture(motif: Motif, paper: &str, ink: &str) -> String {
    let shape = match motif {
        Motif::Sweet => {
            "<circle cx='200' cy='210' r='92' fill='INK'/><circle cx='200' cy='210' r='60' fill='none' stroke='#fff' stroke-opacity='.55' stroke-width='6'/>\
             <path d='M200 132c22 30 22 52 0 78c-22-26-22-48 0-78zM122 210c30-22 52-22 78 0c-26 22-48 22-78 0zM278 210c-30 22-52 22-78 0c26-22 48-22 78 0zM200 288c-22-30-22-52 0-78c22 26 22 48 0 78z' fill='#fff' fill-opacity='.75'/>"
        }
        Motif::Bar => {
            "<g transform='rotate(-14 200 210)'><rect x='92' y='150' width='216' height='120' rx='16' fill='INK'/>\
             <rect x='92' y='190' width='216' height='34' fill='#fff' fill-opacity='.35'/><rect x='160' y='150' width='12' height='120' fill='#fff' fill-opacity='.25'/></g>"
        }
        Motif::Tea => {
            "<path d='M110 160h180l-20 120q-6 30-40 30h-60q-34 0-40-30z' fill='INK'/><path d='M288 180q52 4 44 46t-58 34' fill='none' stroke='INK' stroke-width='16'/>\
             <path d='M160 136q-16-22 4-44M200 136q-16-22 4-44M240 136q-16-22 4-44' fill='none' stroke='INK' stroke-width='8' stroke-linecap='round'/>"
        }
        Motif::Shirt => {
            "<path d='M132 112l44-18q24 24 48 0l44 18 58 62-38 38-26-22v118H138V190l-26 22-38-38z' fill='INK'/>\
             <path d='M138 262q30-22 62 0t62 0v46H138z' fill='#fff' fill-opacity='.25'/>"
        }
        Motif::Towel => {
            "<rect x='118' y='104' width='164' height='212' rx='8' fill='INK'/><g stroke='#fff' stroke-opacity='.5' stroke-width='6' fill='none'>\
             <path d='M118 160q20-26 41 0t41 0 41 0 41 0M118 200q20-26 41 0t41 0 41 0 41 0M118 240q20-26 41 0t41 0 41 0 41 0M118 280q20-26 41 0t41 0 41 0 41 0'/></g>"
        }
        Motif::Bag => {
            "<path d='M112 168h176l18 146H94z' fill='INK'/><path d='M152 186v-34q0-48 48-48t48 48v34' fill='none' stroke='INK' stroke-width='14'/>\
             <circle cx='200' cy='242' r='34' fill='#fff' fill-opacity='.3'/>"
        }
    };
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 400 400'><rect width='400' height='400' fill='{paper}'/>\
         <g fill='none' stroke='{ink}' stroke-opacity='.12' stroke-width='3'>{}</g>{}</svg>",
        waves(),
        shape.replace("INK", ink)
    )
}

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Motif {
    Sweet,
    Bar,
    Tea,
    Shirt,
    Towel,
    Bag,
}

/// 青海波: overlapping waves.
fn waves() -> String {
    let mut rows = String::new();
    for row in 0..9 {
        for column in 0..6 {
            let x = column * 80 + (row % 2) * 40;
            let y = row * 50;
            for radius in [40, 28, 16] {
                write!(rows, "<path d='M{} {y}a{radius} {radius} 0 0 1 {} 0'/>", x - radius, radius * 2)
                    .expect("writing to a String does not fail");
            }
        }
    }
    rows
}
