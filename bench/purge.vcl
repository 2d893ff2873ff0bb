# Varnish as `cargo xtask bench purge` measures it: its built-in logic and an origin. The path is kept with the object, so
# that bans are such as the lurker can work on. Words between @ are filled in.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@origin@";
}

sub vcl_backend_response {
    set beresp.http.x-url = bereq.url;
}

sub vcl_deliver {
    unset resp.http.x-url;
}
