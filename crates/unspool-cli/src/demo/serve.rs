//! `unspool demo --serve`: the servers of the demo, for other programs to pull from.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::api::Api;
use super::feed::Feed;
use super::model::Model;
use super::{rows, say};
use crate::exit::Exit;
use crate::{report, signals};

/// Keeps the servers up until Ctrl-C.
pub(super) async fn run(folder: &Path) -> Exit {
    let served = serve(folder).await;
    // The folder is there only if the database is.
    let _ = std::fs::remove_dir_all(folder);
    match served {
        Ok(()) => Exit::Interrupted,
        Err(error) => {
            report::problem(&format!("error: the demo cannot serve: {error}"));
            Exit::Failed
        }
    }
}

async fn serve(folder: &Path) -> io::Result<()> {
    let (api, feed, model) = (
        Api::start().await?,
        Feed::start().await?,
        Model::start().await?,
    );
    std::fs::create_dir_all(folder)?;
    let file = folder.join("shop.db");
    rows::fill(&file).map_err(io::Error::other)?;
    let (posts, ticks, base, file) = (
        api.url("/posts"),
        feed.url("/ticks"),
        model.url(),
        file.to_string_lossy(),
    );
    say(&format!(
        "The servers of the demo are up until Ctrl-C:\n\n\
         $ unspool pages {posts}\n\
         $ unspool ask 'Write a poem about loops' --provider anthropic --base-url {base}\n\
         $ unspool events {ticks} --parse\n\
         $ unspool rows {} 'select * from orders' --take 3\n",
        report::quoted(&file)
    ));
    let lines = [
        json!({"source": "pages", "url": posts}),
        json!({"source": "ask", "base_url": base, "provider": "anthropic"}),
        json!({"source": "events", "url": ticks}),
        json!({"source": "rows", "dsn": format!("sqlite:{file}"), "table": "orders"}),
    ];
    let mut stdout = io::stdout().lock();
    for line in lines {
        // Whoever closes the pipe has read enough, and may want the servers nevertheless.
        let _ = writeln!(stdout, "{line}");
    }
    drop(stdout);
    signals::interrupted().await;
    Ok(())
}
