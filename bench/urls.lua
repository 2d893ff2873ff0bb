-- URLs for wrk, one for each request: `-- MODE PREFIX LAST HOST`, numbers from 0 behind the prefix. MODE `next` counts,
-- `random` draws up to LAST. Says at its end what it measured.
local mode, prefix, last, host
local at = -1

function init(arguments)
    mode, prefix, last, host = arguments[1], arguments[2], tonumber(arguments[3]), arguments[4]
    math.randomseed(os.time())
end

function request()
    if mode == "random" then
        at = math.random(0, last)
    else
        at = at + 1
    end
    return "GET " .. prefix .. string.format("%d", at) .. " HTTP/1.1\r\nHost: " .. host .. "\r\n\r\n"
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format("measured requests=%d duration_us=%d bytes=%d p50_us=%d p99_us=%d errors=%d\n",
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
