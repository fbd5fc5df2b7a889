use super::*;

fn parts() -> (JoinSet<anyhow::Result<()>>, CancellationToken) {
    let shutdown = CancellationToken::new();
    let mut parts = JoinSet::new();
    let token = shutdown.clone();
    parts.spawn(async move {
        token.cancelled().await;
        Ok(())
    });
    (parts, shutdown)
}

#[tokio::test]
async fn parts_end_together_when_told() {
    let (parts, shutdown) = parts();
    shutdown.cancel();
    together(parts, &shutdown).await.unwrap();
}

#[tokio::test]
async fn the_first_failure_ends_all_and_is_told() {
    let (mut parts, shutdown) = parts();
    parts.spawn(async { Err(anyhow::anyhow!("why")) });
    let error = together(parts, &shutdown).await.unwrap_err();
    assert_eq!(error.to_string(), "why");
    assert!(shutdown.is_cancelled());
}

#[tokio::test]
async fn an_end_that_nobody_asked_for_is_a_failure() {
    let (mut parts, shutdown) = parts();
    parts.spawn(async { Ok(()) });
    let error = together(parts, &shutdown).await.unwrap_err();
    assert!(error.to_string().contains("by itself"), "{error}");
}
