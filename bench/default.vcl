# Varnish as `cargo xtask bench edge` measures it: its built-in logic, an origin, nothing else. Its parameters stand in
# xtask/src/bench/sides.rs. Whoever knows how to make it faster is asked to. Words between @ are filled in.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@origin@";
}
