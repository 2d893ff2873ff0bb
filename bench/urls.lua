-- URLs for wrk, one for each request: `-- MODE PREFIX FIRST LAST HOST`. MODE `next` counts from FIRST and stops after
-- LAST, so that each URL is asked for once; `random` draws from FIRST to LAST. Says at its end what it measured.
local mode, prefix, first, last, host, at

function init(arguments)
    mode, prefix, host = arguments[1], arguments[2], arguments[5]
    first, last = tonumber(arguments[3]), tonumber(arguments[4])
    at = first - 1
    math.randomseed(os.time())
end

function request()
    local number
    if mode == "random" then
        number = math.random(first, last)
    else
        at = at + 1
        number = at
        if number > last then
            wrk.thread:stop()
            number = last
        end
    end
    return "GET " .. prefix .. string.format("%d", number) .. " HTTP/1.1\r\nHost: " .. host .. "\r\n\r\n"
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format("measured requests=%d duration_us=%d bytes=%d p50_us=%d p99_us=%d errors=%d\n",
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
