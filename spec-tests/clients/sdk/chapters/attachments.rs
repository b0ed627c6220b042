//! Files: encrypted by the sender, passed on by the server, decrypted by the reader.

use anyhow::{Context, Result, bail, ensure};
use matrix_sdk::{
    attachment::AttachmentConfig,
    media::{MediaFormat, MediaRequestParameters},
    ruma::{
        RoomId,
        events::room::{MediaSource, message::MessageType},
    },
};

use super::sign_in::People;
use crate::{step::step, timeline::message};

pub async fn walk(People { alice, bob, .. }: &People, room_id: &RoomId) -> Result<()> {
    step("Bob downloads Alice's encrypted file", async {
        let bytes: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        let sent = alice
            .room(room_id)?
            .send_attachment("map.bin", &mime::APPLICATION_OCTET_STREAM, bytes.clone(), AttachmentConfig::new())
            .await?;
        let content = message(bob, room_id, &sent.event_id).await?.content;
        let MessageType::File(file) = content.msgtype else { bail!("{} is no file", sent.event_id) };
        ensure!(file.filename() == "map.bin");
        let loaded = bob.media().get_file(&file, false).await?.context("a file without a source")?;
        ensure!(loaded == bytes, "the file came back otherwise");

        let MediaSource::Encrypted(keys) = file.source else { bail!("the file came without keys") };
        let source = MediaSource::Plain(keys.url.clone());
        let request = MediaRequestParameters { source, format: MediaFormat::File };
        let stored = bob.media().get_media_content(&request, false).await?;
        ensure!(stored.len() == bytes.len() && stored != bytes, "the file crossed the server in the clear");
        Ok(())
    })
    .await
}
