--[[
calspamd for Rspamd 3.4 and later: asks calspamd about messages with a calendar, and merges its
symbols.

License: Apache-2.0 OR MIT

Comes in: a message with a calendar part, however it is labelled. Goes out: calspamd's symbols with
their scores and options, a header with the decision for the calendar and, if wanted, the links
that stand in calendars only, for Rspamd's own rules about links.
Not an error: no calspamd. The mail is scanned as without it, CALSPAMD_FAIL with the score 0 says so.

Settings are in modules.d/calspamd.conf, yours in local.d/calspamd.conf.
]]--

local N = "calspamd"

if confighelp then
  rspamd_config:add_example(nil, N, "Symbols of calendar spam, from calspamd", [[
calspamd {
  # Where calspamd listens; several are asked in turn.
  servers = "127.0.0.1:11380";
  # Shorter than Rspamd's own task_timeout.
  timeout = 3s;
}
]])
  return
end

local rspamd_http = require "rspamd_http"
local rspamd_logger = require "rspamd_logger"
local rspamd_url = require "rspamd_url"
local rspamd_util = require "rspamd_util"
local upstream_list = require "rspamd_upstream_list"
local lua_auth_results = require "lua_auth_results"
local lua_mime = require "lua_mime"
local lua_util = require "lua_util"
local ucl = require "ucl"

local DEFAULT_PORT = 11380

local settings = {
  servers = "127.0.0.1:11380",
  timeout = 3.0,
  -- Another try with the next server when a connection is refused or breaks; never after a time-out.
  retries = 1,
  -- Messages above this size are not sent.
  max_size = 50 * 1024 * 1024,
  symbol_fail = "CALSPAMD_FAIL",
  -- Symbols that calspamd answers and the configuration does not name.
  symbol_other = "CALSPAMD_OTHER",
  group = "calspamd",
  -- Hand links that stand in calendars to Rspamd's rules; calspamd asks no DNS list then.
  inject_urls = false,
  max_urls = 100,
  -- Header with the decision for the calendar; "" for none.
  decision_header = "X-Calspam-Decision",
  symbols = {},
}

-- From here on Rspamd thinks so badly of a message that nothing of it belongs into a calendar.
local BAD_ACTIONS = {
  ["add header"] = true,
  ["rewrite subject"] = true,
  ["soft reject"] = true,
  ["reject"] = true,
  ["quarantine"] = true,
  ["discard"] = true,
}

local CALENDAR_TYPES = {
  ["text/calendar"] = true,
  ["text/x-vcalendar"] = true,
  ["text/ics"] = true,
  ["application/ics"] = true,
  ["application/calendar"] = true,
  ["application/calendar+json"] = true,
  ["application/calendar+xml"] = true,
  ["application/jscalendar+json"] = true,
}

-- An offer to share a calendar (MS-OXSHARE) needs no calendar part.
local SHARING_HEADERS = {
  "X-Sharing-Config-Url",
  "X-Sharing-Browse-Url",
  "X-Sharing-Remote-Path",
  "X-Sharing-Local-Path",
}

local CALENDAR_NAMES = { ics = true, ical = true, icalendar = true, ifb = true, vcs = true }

-- How far into a part the start of a calendar is looked for.
local HEAD = 1024

local upstreams
local known_symbols = {}

-- True for the start of a calendar: BEGIN:VCALENDAR in any case and in UTF-16 too, or jCal.
local function begins_calendar(part)
  local content = part:get_content()
  if not content or #content < 11 then
    return false
  end
  local head
  if type(content) == "string" then
    head = content:sub(1, HEAD)
  else
    head = content:span(1, math.min(HEAD, #content)):str()
  end
  head = head:gsub("%z", ""):lower()
  return head:find("begin:vcalendar", 1, true) ~= nil
    or head:find('^%s*%[%s*"vcalendar"') ~= nil
end

local function is_calendar(part)
  local kind, subtype = part:get_type()
  kind, subtype = (kind or ""):lower(), (subtype or ""):lower()
  if kind == "multipart" or kind == "image" then
    return false
  end
  if CALENDAR_TYPES[kind .. "/" .. subtype] then
    return true
  end
  if part:get_detected_ext() == "ics" then
    return true
  end
  local name = part:get_filename()
  local extension = name and name:match("%.(%w+)%s*$")
  if extension and CALENDAR_NAMES[extension:lower()] then
    return true
  end
  return begins_calendar(part)
end

local function shares_calendar(task)
  local class = task:get_header("Content-Class")
  if class and class:lower() == "sharing" then
    return true
  end
  for _, name in ipairs(SHARING_HEADERS) do
    if task:has_header(name) then
      return true
    end
  end
  return false
end

local function has_calendar(task)
  local cached = task:cache_get("calspamd_calendar")
  if cached == nil then
    cached = shares_calendar(task) and "yes" or "no"
    for _, part in ipairs(task:get_parts() or {}) do
      if is_calendar(part) then
        cached = "yes"
        break
      end
    end
    task:cache_set("calspamd_calendar", cached)
  end
  return cached == "yes"
end

-- Line breaks in a value would start a header of the sender's choice.
local function one_line(value)
  return (tostring(value):gsub("[%c]+", " "))
end

local function addresses(list)
  local found = {}
  for _, one in ipairs(list or {}) do
    if one.addr and one.addr ~= "" then
      found[#found + 1] = "<" .. one_line(one.addr) .. ">"
    end
  end
  return found
end

-- What is known of the message's way here, in the headers of Rspamd's own protocol.
local function envelope_headers(task)
  local headers = { ["Content-Type"] = "message/rfc822" }
  local function set(name, value)
    if value and tostring(value) ~= "" then
      headers[name] = one_line(value)
    end
  end
  local from = task:get_from({ "smtp", "orig" })
  if from and from[1] then
    headers["From"] = "<" .. one_line(from[1].addr or "") .. ">"
  end
  local recipients = addresses(task:get_recipients({ "smtp", "orig" }))
  if #recipients > 0 then
    headers["Rcpt"] = table.concat(recipients, ", ")
  end
  local ip = task:get_from_ip()
  if ip and ip:is_valid() then
    set("IP", ip:to_string())
  end
  set("Helo", task:get_helo())
  set("Hostname", task:get_hostname())
  set("User", task:get_user())
  set("Queue-Id", task:get_queue_id())
  set("Log-Tag", task:get_uid())
  for _, name in ipairs({ "Deliver-To", "Settings-ID", "Settings", "Calendar-Policy" }) do
    set(name, task:get_request_header(name))
  end
  return headers
end

-- A scan; for the links alone it is neither counted nor remembered.
local function scan_request(task, links_only)
  local headers = envelope_headers(task)
  headers["Scope"] = "calendar"
  if links_only then
    headers["Flags"] = "no_dns,no_stat,no_log"
  else
    if settings.inject_urls then
      headers["Flags"] = "no_dns"
    end
    local results = lua_auth_results.gen_auth_results(task)
    if results and results ~= "" then
      headers["Authentication-Results"] = one_line(results)
    end
  end
  return { path = "/checkv2", headers = headers, expects = "symbols" }
end

-- Sends the message; calls back with the answer, or with nil and the reason. An answer has the
-- field that is expected.
local function ask(task, request, done)
  local tries = settings.retries

  local function try()
    local upstream = upstreams:get_upstream_round_robin()
    if not upstream then
      done(nil, "no server")
      return
    end
    local address = upstream:get_addr()

    local function answered(err, code, body)
      if err then
        upstream:fail()
        local timed_out = tostring(err):lower():find("timeout", 1, true)
        if tries > 0 and not timed_out then
          tries = tries - 1
          try()
        else
          done(nil, tostring(err))
        end
        return
      end
      if code ~= 200 then
        -- 4xx is about this message, not about the server.
        if code >= 500 then
          upstream:fail()
        else
          upstream:ok()
        end
        done(nil, "HTTP status " .. tostring(code))
        return
      end
      local parser = ucl.parser()
      local read, why = parser:parse_text(body)
      local answer = read and parser:get_object() or nil
      if type(answer) ~= "table" or answer[request.expects] == nil then
        upstream:fail()
        done(nil, "no answer of calspamd: " .. tostring(why or "other JSON"))
        return
      end
      upstream:ok()
      done(answer)
    end

    local sent = rspamd_http.request({
      task = task,
      url = string.format("http://%s%s", address:to_string(true), request.path),
      upstream = upstream,
      method = "POST",
      headers = request.headers,
      body = task:get_content(),
      timeout = settings.timeout,
      keepalive = true,
      callback = answered,
    })
    if not sent then
      done(nil, "cannot send")
    end
  end

  try()
end

local function failed(task, why)
  rspamd_logger.errx(task, "%s: not asked: %s", N, why)
  task:insert_result(settings.symbol_fail, 0.0, why)
end

-- The symbols with calspamd's own scores. Their score in Rspamd is 1.0 unless the site says
-- otherwise, so what arrives is our score, or that times the site's factor.
local function merge(task, answer)
  local other, unknown = 0.0, {}
  for name, symbol in pairs(answer.symbols) do
    local score = tonumber(symbol.score) or 0.0
    local options = {}
    for _, option in ipairs(symbol.options or {}) do
      options[#options + 1] = tostring(option)
    end
    if known_symbols[name] then
      task:insert_result(name, score, options)
    else
      other = other + score
      unknown[#unknown + 1] = string.format("%s(%.2f)", name, score)
    end
  end
  if #unknown > 0 then
    table.sort(unknown)
    task:insert_result(settings.symbol_other, other, unknown)
  end
end

local function check(task)
  task:cache_set("calspamd_checked", true)
  if not has_calendar(task) then
    return
  end
  if task:get_size() > settings.max_size then
    failed(task, "the message is too large")
    return
  end
  ask(task, scan_request(task, false), function(answer, why)
    if not answer then
      failed(task, why)
      return
    end
    merge(task, answer)
    local headers = answer.milter and answer.milter.add_headers or {}
    local decision = headers["X-Calspam-Decision"]
    if decision and decision.value then
      task:get_mempool():set_variable("calspamd_decision", tostring(decision.value))
    end
  end)
end

-- Links that stand in calendars only, early enough for RBL and SURBL rules.
local function inject_urls(task)
  if not has_calendar(task) or task:get_size() > settings.max_size then
    return
  end
  ask(task, scan_request(task, true), function(answer, why)
    if not answer then
      lua_util.debugm(N, task, "no links: %s", why)
      return
    end
    local known = {}
    for _, url in ipairs(task:get_urls() or {}) do
      known[url:get_text()] = true
    end
    local calendar = answer.calendar or {}
    local added = 0
    for _, text in ipairs((calendar.extracted or {}).urls or {}) do
      if added >= settings.max_urls then
        break
      end
      if not known[text] then
        known[text] = true
        local url = rspamd_url.create(task:get_mempool(), text)
        if url then
          task:inject_url(url)
          added = added + 1
        end
      end
    end
  end)
end

-- What a user says of a mail goes on to calspamd. Called from a classifier's `learn_condition`, so it
-- says what Rspamd's own condition says. What Rspamd teaches itself after a scan is nobody's report.
local function learn(task, is_spam, is_unlearn)
  local by_itself = task:cache_get("calspamd_checked")
  if not by_itself and has_calendar(task) and task:get_size() <= settings.max_size then
    -- Who changes his mind (`is_unlearn`) says the other class; his later word counts.
    local path = is_spam and "/learnspam" or "/learnham"
    local request = { path = path, headers = envelope_headers(task), expects = "success" }
    ask(task, request, function(answer, why)
      if not answer then
        rspamd_logger.errx(task, "%s: not told: %s", N, why)
      end
    end)
  end
  return require("lua_bayes_learn").can_learn(task, is_spam, is_unlearn)
end

-- The decision as a header for whoever delivers. A header of that name that came with the mail is
-- removed from every mail: only ours is to be believed.
local function decide(task)
  local name = settings.decision_header
  local change = {}
  if task:has_header(name) then
    change.remove = { [name] = 0 }
  end
  local value = task:get_mempool():get_variable("calspamd_decision")
  if value then
    if BAD_ACTIONS[task:get_metric_action("default")] then
      value = value:gsub("insert=%w+", "insert=no", 1):gsub("target=%w+", "target=junk", 1)
      value = value:gsub("busy=%w+", "busy=free", 1):gsub("alarms=%w+", "alarms=strip", 1)
      value = value:gsub("notify=%w+", "notify=no", 1)
    end
    change.add = { [name] = one_line(value) }
  end
  if change.remove or change.add then
    lua_mime.modify_headers(task, change)
  end
end

local options = rspamd_config:get_all_opt(N)
if not options or options.enabled == false then
  rspamd_logger.infox(rspamd_config, "%s is not configured, or off", N)
  lua_util.disable_module(N, "config")
  return
end
settings = lua_util.override_defaults(settings, options)
-- Rspamd reads `3s` as a number; a string is what a hurried hand has written.
settings.timeout = tonumber(settings.timeout) or 3.0
upstreams = upstream_list.create(rspamd_config, settings.servers, DEFAULT_PORT)
if not upstreams then
  rspamd_logger.errx(rspamd_config, "%s: cannot read the servers: %s", N, settings.servers)
  lua_util.disable_module(N, "config")
  return
end

rspamd_plugins[N] = { learn = learn }

local id = rspamd_config:register_symbol({
  name = "CALSPAMD_CHECK",
  type = "callback",
  flags = "empty,nostat",
  callback = check,
  augmentations = { string.format("timeout=%f", settings.timeout) },
})
local function register(name, description, score)
  rspamd_config:register_symbol({
    name = name,
    type = "virtual",
    parent = id,
    score = score,
    group = settings.group,
    description = description,
  })
end
for name, symbol in pairs(settings.symbols) do
  known_symbols[name] = true
  register(name, type(symbol) == "table" and symbol.description or tostring(symbol), 1.0)
end
register(settings.symbol_other, "Symbols of calspamd that Rspamd's configuration does not name", 1.0)
register(settings.symbol_fail, "calspamd did not answer", 0.0)

-- What the mail's authentication has come to is sent along.
for _, before in ipairs({ "SPF_CHECK", "DKIM_CHECK", "DMARC_CHECK", "ARC_CHECK" }) do
  rspamd_config:register_dependency("CALSPAMD_CHECK", before)
end

if settings.inject_urls then
  rspamd_config:register_symbol({
    name = "CALSPAMD_URLS",
    type = "prefilter",
    priority = 5,
    flags = "empty,nostat",
    callback = inject_urls,
    augmentations = { string.format("timeout=%f", settings.timeout) },
  })
end
if settings.decision_header ~= "" then
  rspamd_config:register_symbol({
    name = "CALSPAMD_DECISION",
    -- After everything else, also where some rule has forced an action.
    type = "idempotent",
    flags = "empty,nostat,explicit_disable,ignore_passthrough",
    callback = decide,
  })
end
