# A caching edge that takes Fastly's purge calls on the port on which it serves.
# varnish.py fills in @ORIGIN@, @READER@ (ports), @TOKEN@ and @SERVICE@.

vcl 4.1;

import purge;
import std;
import xkey;

backend origin { .host = "127.0.0.1"; .port = "@ORIGIN@"; }

# VCL can match the body of a request, but not take it apart: this backend answers a batch with its keys in a header.
backend reader { .host = "127.0.0.1"; .port = "@READER@"; }

sub vcl_recv {
    unset req.http.X-Call;
    unset req.http.X-Soft;
    if (req.method == "POST" || req.method == "PURGE") {
        call authorise;
        if (req.http.Fastly-Soft-Purge) {
            set req.http.X-Soft = "1";  # Fastly goes by the header's presence
        }
    }
    if (req.method == "PURGE") {
        set req.http.X-Call = "url";
        return (hash);
    }
    if (req.method == "POST" && req.url ~ "^/purge/") {
        call take_url;
        set req.http.X-Call = "url";
        return (hash);
    }
    if (req.method == "POST" && req.url ~ "^/service/") {
        call purge_service;
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (synth(405, "Method Not Allowed"));
    }
    return (hash);
}

sub authorise {
    if (req.http.Fastly-Key != "@TOKEN@") {
        return (synth(401, "Provided credentials are missing or invalid"));
    }
}

# The URL follows /purge/ as it is, with its scheme or without; it becomes the request that is looked up.
sub take_url {
    set req.http.X-Url = regsub(req.url, "^/purge/(https?://)?", "");
    if (req.http.X-Url ~ "(?i)^[^/]*%2f") {
        return (synth(400, "Malformed purge request"));
    }
    set req.http.Host = regsub(req.http.X-Url, "[/?].*$", "");
    set req.url = regsub(req.http.X-Url, "^[^/?]*/?", "/");
    unset req.http.X-Url;
}

sub purge_service {
    if (req.url !~ "^/service/@SERVICE@/") {
        return (synth(404, "Record not found"));
    }
    if (req.url ~ "^/service/[^/]+/purge_all$") {
        if (!std.ban("obj.status != 0")) {
            return (synth(500, std.ban_error()));
        }
        return (synth(701));
    }
    if (req.url ~ "^/service/[^/]+/purge/.") {
        set req.http.X-Keys = regsub(req.url, "^/service/[^/]+/purge/", "");
        call purge_keys;
        return (synth(700));
    }
    if (req.url ~ "^/service/[^/]+/purge$") {
        set req.http.X-Call = "batch";
        set req.backend_hint = reader;
        return (pass);
    }
    return (synth(404, "Record not found"));
}

sub purge_keys {
    if (req.http.X-Soft) {
        set req.http.X-Purged = xkey.softpurge(req.http.X-Keys);
    } else {
        set req.http.X-Purged = xkey.purge(req.http.X-Keys);
    }
}

sub vcl_hash {
    hash_data(req.url);
    hash_data(std.tolower(req.http.Host));
    return (lookup);
}

sub vcl_hit {
    if (req.http.X-Call == "url") {
        call purge_found;
    }
}

sub vcl_miss {
    if (req.http.X-Call == "url") {
        call purge_found;
    }
}

# Purges the hash that was looked up, every variant under it, even where the lookup found none that it might use.
sub purge_found {
    if (req.http.X-Soft) {
        set req.http.X-Purged = purge.soft(0s, 1h, 1h);
    } else {
        set req.http.X-Purged = purge.hard();
    }
    return (synth(700));
}

sub vcl_backend_response {
    set beresp.http.xkey = beresp.http.Surrogate-Key;
    set beresp.grace = 1h;
    if (beresp.status >= 400) {
        set beresp.uncacheable = true;
    }
}

sub vcl_deliver {
    if (req.http.X-Call == "batch") {
        if (resp.status == 200) {
            set req.http.X-Keys = resp.http.Surrogate-Key;
            call purge_keys;
            set resp.http.X-Purged = req.http.X-Purged;
        }
    } elsif (obj.hits == 0) {
        set resp.http.X-Cache = "MISS";
    } elsif (obj.ttl < 0s) {
        set resp.http.X-Cache = "STALE";
    } else {
        set resp.http.X-Cache = "HIT";
    }
    unset resp.http.Surrogate-Key;
    unset resp.http.xkey;
}

# 700 and 701 stand for success, with an id and without; anything else is an error in the oldest of Fastly's three forms.
sub vcl_synth {
    set resp.http.Content-Type = "application/json";
    set resp.http.X-Purged = req.http.X-Purged;
    if (resp.status == 700) {
        set resp.status = 200;
        set resp.reason = "OK";
        set resp.body = {"{"status": "ok", "id": "4151-"} + std.time2integer(now, 0) + "-" + req.xid + """"}""";
    } elsif (resp.status == 701) {
        set resp.status = 200;
        set resp.reason = "OK";
        set resp.body = """{"status": "ok"}""";
    } else {
        set resp.body = {"{"msg": ""} + resp.reason + """"}""";
    }
    return (deliver);
}
