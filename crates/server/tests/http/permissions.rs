//! Every operation of the public API, asked by everybody: who may, may; who may not, is told so.

use tollgate_server::permission::{Permission, Role};

use crate::operation::operations;
use crate::service::Service;

/// Who asks.
#[derive(Clone, Debug)]
enum Caller {
    Role(Role, String),
    Nobody,
    Wrong(&'static str, String),
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_permitted_to_exactly_the_roles_that_have_its_permission() {
    let service = Service::start_with(&[("self_service", "true")]).await;
    let consumer = service.consumer().await;
    let mut callers = vec![Caller::Nobody];
    for role in Role::ALL {
        let made = service.admin_key(role.name(), &consumer).await;
        callers.push(Caller::Role(role, made["admin_key"].as_str().unwrap().to_owned()));
    }
    let revoked = service.admin_key("admin", &consumer).await;
    service.call("DELETE", &format!("/api/v1/admin-keys/{}", revoked["id"].as_str().unwrap())).send().await.expect(204);
    callers.push(Caller::Wrong("a revoked admin key", revoked["admin_key"].as_str().unwrap().to_owned()));
    callers.push(Caller::Wrong("a node credential", service.node_credential.clone()));
    callers.push(Caller::Wrong("an API key", service.key(&consumer).await["api_key"].as_str().unwrap().to_owned()));
    callers.push(Caller::Wrong("a forged admin key", format!("tga_{}", "a".repeat(57))));

    let operations = operations();
    let (mut allowed, mut forbidden, mut unauthenticated) = (0, 0, 0);
    for operation in &operations {
        let permission = Permission::ALL.into_iter().find(|permission| permission.name() == operation.permission);
        assert_eq!(permission.is_none(), operation.permission == "none", "{} asks for an unknown permission", operation.id);
        for caller in &callers {
            let sample = operation.sample(&service, &consumer).await;
            let mut call = service.anonymous(&operation.method, &sample.path);
            if let Caller::Role(_, credential) | Caller::Wrong(_, credential) = caller {
                call = call.bearer(credential);
            }
            if let Some(body) = &sample.body {
                call = call.json(body);
            }
            let reply = call.send().await;
            let who = format!(
                "{} by {}",
                operation.id,
                match caller {
                    Caller::Role(role, _) => role.name(),
                    Caller::Nobody => "nobody",
                    Caller::Wrong(what, _) => what,
                }
            );
            let expected = match (permission, caller) {
                (None, _) => sample.status,
                // An administrator may, and is told that it has no consumer whose keys they would be.
                (Some(Permission::OwnKeysRead | Permission::OwnKeysWrite), Caller::Role(Role::Admin, _)) => 409,
                (Some(permission), Caller::Role(role, _)) if role.grants(permission) => sample.status,
                (Some(_), Caller::Role(..)) => 403,
                // The count of wrong credentials from one address runs out along the way.
                (Some(_), Caller::Wrong(..)) if reply.status == 429 => 429,
                (Some(_), Caller::Nobody | Caller::Wrong(..)) => 401,
            };
            assert_eq!(reply.status, expected, "{who}: {}", reply.text());
            match reply.status {
                401 | 429 => {
                    unauthenticated += 1;
                    let code = reply.problem(reply.status)["code"].as_str().unwrap().to_owned();
                    let expected = match caller {
                        Caller::Nobody => "unauthenticated",
                        _ if reply.status == 429 => "rate_limited",
                        Caller::Role(..) | Caller::Wrong(..) => "invalid_key",
                    };
                    assert_eq!(code, expected, "{who}");
                    assert_eq!(reply.header("www-authenticate").starts_with("Bearer realm=\"tollgate\""), reply.status == 401, "{who}");
                }
                403 => {
                    forbidden += 1;
                    assert_eq!(reply.problem(403)["code"], "forbidden", "{who}");
                }
                _ => allowed += 1,
            }
        }
    }
    let cases = operations.len() * callers.len();
    println!(
        "{} operations × {} callers = {cases} cases: {allowed} allowed, {forbidden} forbidden, {unauthenticated} unauthenticated",
        operations.len(),
        callers.len()
    );
    assert_eq!(allowed + forbidden + unauthenticated, cases);
}
