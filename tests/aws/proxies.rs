//! Calls through proxies.
//!
//! An environment's proxy is never used for loopback, so endpoints here have names that only a proxy could find, or
//! the address 0.0.0.0, which is not loopback by its number but reaches this machine.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use xray::config::XRayConfig;
use xray::exporters::xray::XRay;
use xray::ledger::outcome::ErrorClass;

use crate::support::*;

fn with_proxy_address(config: XRayConfig, address: String) -> XRayConfig {
    XRayConfig {
        proxy_address: Some(sourced(address, "flag -p")),
        ..config
    }
}

#[tokio::test]
async fn plain_requests_go_to_the_http_proxy_in_absolute_form() {
    let proxy = Server::ok().await;
    for variable in ["HTTP_PROXY", "http_proxy"] {
        let address = format!("http://me:p%40ss@{}", proxy.address);
        put(
            &config_for("http://xray.example:8080/base"),
            &environment(&[(variable, &address)]),
        )
        .await
        .unwrap();
        let request = proxy.requests().pop().unwrap();
        assert_eq!(request.uri, "http://xray.example:8080/base/TraceSegments");
        assert_eq!(request.header("host"), "xray.example:8080");
        assert_eq!(request.header("proxy-authorization"), "Basic bWU6cEBzcw==");
        let authorization = request.header("authorization");
        assert!(!authorization.contains("proxy-authorization"), "{authorization}");
    }
}

#[tokio::test]
async fn https_goes_through_a_tunnel_with_authentication() {
    let ca = test_ca(&["xray.example"]);
    let server = Server::with_tls(ca.acceptor).await;
    let proxy = tunnel_proxy(server.address, Some("Basic bWU6cEBzcw==")).await;
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    std::fs::write(&bundle, &ca.authority_pem).unwrap();
    let bundle = ("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let address = format!("http://me:p%40ss@{}", proxy.address);
        put(
            &config_for("https://xray.example"),
            &environment(&[bundle, (variable, &address)]),
        )
        .await
        .unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    // What the endpoint sees is as without a proxy.
    assert_eq!(requests[0].uri, "/TraceSegments");
    assert!(!requests[0].headers.contains_key("proxy-authorization"));
    let head = &proxy.heads()[0];
    assert!(
        head.starts_with("connect xray.example:443 http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("host: xray.example:443\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_is_named_with_the_remedy_and_without_the_password() {
    let proxy = tunnel_proxy("127.0.0.1:1".parse().unwrap(), Some("Basic other")).await;
    let address = format!("http://me:secret@{}", proxy.address);
    let error = put(
        &config_for("https://xray.example"),
        &environment(&[("HTTPS_PROXY", &address)]),
    )
    .await
    .unwrap_err();
    assert_eq!((error.class, error.status), (ErrorClass::Connection, None));
    assert_eq!(
        error.message,
        format!(
            "proxy http://{} did not connect to https://xray.example: it answered 407 Proxy Authentication Required, \
             write its user name and password into the proxy URL",
            proxy.address
        )
    );
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "socks5h"] {
        let proxy = format!("{scheme}://me:secret@{address}");
        let error = put(
            &config_for("https://xray.example"),
            &environment(&[("HTTPS_PROXY", &proxy)]),
        )
        .await
        .unwrap_err();
        assert_eq!(error.class, ErrorClass::ConnectionRefused);
        let named = format!("proxy {scheme}://{address}: cannot connect");
        assert!(
            error.message.contains(&named) && !error.message.contains("secret"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn no_proxy_makes_an_exception_in_both_cases() {
    let server = Server::ok().await;
    let proxy = Server::ok().await;
    let endpoint = format!("http://0.0.0.0:{}", server.address.port());
    for (index, variable) in ["NO_PROXY", "no_proxy"].into_iter().enumerate() {
        let variables = [
            ("HTTP_PROXY", proxy.url()),
            (variable, "example.com, 0.0.0.0".to_owned()),
        ];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        put(&config_for(&endpoint), &environment(&variables))
            .await
            .unwrap();
        assert_eq!(server.requests().len(), index + 1, "{variable}");
    }
    assert_eq!(proxy.requests().len(), 0);
    // The control: without the exception the same call is proxied.
    put(
        &config_for(&endpoint),
        &environment(&[("HTTP_PROXY", &proxy.url())]),
    )
    .await
    .unwrap();
    assert_eq!((server.requests().len(), proxy.requests().len()), (2, 1));
}

#[tokio::test]
async fn each_scheme_uses_its_own_variable() {
    let server = Server::ok().await;
    let endpoint = format!("http://0.0.0.0:{}", server.address.port());
    put(
        &config_for(endpoint),
        &environment(&[("HTTPS_PROXY", "http://127.0.0.1:1")]),
    )
    .await
    .unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_loopback_endpoint_is_not_proxied_by_the_environment() {
    let server = Server::ok().await;
    let variables = [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
    ];
    put(&config_for(server.url()), &environment(&variables))
        .await
        .unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn proxy_address_is_for_every_endpoint_and_stands_over_the_environment() {
    let proxy = Server::ok().await;
    let variables = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")];
    let config = with_proxy_address(config_for("http://127.0.0.1:9"), proxy.address.to_string());
    put(&config, &environment(&variables)).await.unwrap();
    assert_eq!(proxy.request().uri, "http://127.0.0.1:9/TraceSegments");

    let ca = test_ca(&["xray.example"]);
    let server = Server::with_tls(ca.acceptor).await;
    let tunnel = tunnel_proxy(server.address, None).await;
    let config = XRayConfig {
        no_verify_ssl: true,
        ..with_proxy_address(
            config_for("https://xray.example:8443"),
            format!("http://{}", tunnel.address),
        )
    };
    put(&config, &environment(&variables)).await.unwrap();
    assert!(
        tunnel.heads()[0].starts_with("connect xray.example:8443 "),
        "{:?}",
        tunnel.heads()
    );
}

#[tokio::test]
async fn a_proxy_may_itself_be_reached_over_tls() {
    let ca = test_ca(&["localhost"]);
    let proxy = Server::with_tls(ca.acceptor).await;
    let config = XRayConfig {
        no_verify_ssl: true,
        ..with_proxy_address(
            config_for("http://xray.example"),
            format!("https://localhost:{}", proxy.address.port()),
        )
    };
    put(&config, &environment(&[])).await.unwrap();
    assert_eq!(proxy.request().uri, "http://xray.example/TraceSegments");
}

#[tokio::test]
async fn a_socks_proxy_works_too() {
    let server = Server::ok().await;
    let (asked, upstream) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), server.address);
    let address = asked.local_addr().unwrap();
    let proxy = tokio::spawn(async move {
        let (mut stream, _) = asked.accept().await.unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting, [5, 1, 0]);
        stream.write_all(&[5, 0]).await.unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head[..4], [5, 1, 0, 3], "connect, by name");
        let mut rest = vec![0; usize::from(head[4]) + 2];
        stream.read_exact(&mut rest).await.unwrap();
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        tokio::spawn(async move {
            let mut upstream = TcpStream::connect(upstream).await.unwrap();
            let _end = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
        });
        rest
    });
    let config = with_proxy_address(config_for("http://xray.example"), format!("socks5h://{address}"));
    put(&config, &environment(&[])).await.unwrap();
    assert_eq!(
        proxy.await.unwrap(),
        [b"xray.example".as_slice(), &[0, 80]].concat()
    );
    // Not in absolute form: the SOCKS proxy does not read it.
    assert_eq!(server.request().uri, "/TraceSegments");
}

#[tokio::test]
async fn an_unusable_proxy_address_is_an_error_at_the_start() {
    let config = with_proxy_address(config(), "ftp://me:secret@proxy".to_owned());
    let error = XRay::connect(&config, &environment(&[]), "eu-west-1")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("flag -p: \"ftp://***@proxy\" is not a kind of proxy"),
        "{error}"
    );
}

#[tokio::test]
async fn no_debug_text_shows_the_proxys_password() {
    let config = with_proxy_address(config(), "http://me:secret@proxy:3128".to_owned());
    let aws = connect(&config, &environment(&[])).await;
    let text = format!("{aws:?}");
    assert!(
        !text.contains("secret@") && !text.contains("environment-secret"),
        "{text}"
    );
}
