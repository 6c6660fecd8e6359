-- What every function needs: the log of one topic, and whether this server still is the one that wrote it.
--
-- A log is four keys with one hash tag:
--   stream  one entry for the messages that were appended together: id `0-<last seq>`, field h = HEADER: count, latest, at, bytes before,
--           field b = for each message "<hole>,<timestamp>,<bytes>\n" and the envelope without its position
--   meta    META: format; head, bytes, latest, at; start, half, half_at, half_from, former, kept_at; epoch, token
--   ids:0, ids:1  ids seen in the present and in the former half of the window: (principal, id) → where it is among those it was stored with, whose
--           first seq → at, and the content of each (append.lua)
--
-- Numbers are packed: a server spends more on their digits than on storing them.
--
-- The token names the incarnation of the server's data (`master_replid`). Where it differs, or where one of stream and meta is gone, the log
-- may have lost its end: a new epoch begins after what the stream still holds.

local ENTRY_BYTES = 64

-- Counts changes of what is packed how.
local FORMAT = 1
local NUMBER = '<d'
local HEADER = '<Hddd'
local META = '<Bddddddddddss'
-- What an append changes, and where that lies in META.
local COUNTERS, COUNTERS_AT = '<dddd', 1

local function number(text)
  return tonumber(text) or 0
end

-- In digits, also past 10^14, where Lua would write an exponent. A topic's seqs do not get there; its bytes might.
local function digits(value)
  return string.format('%.0f', value)
end

-- Milliseconds of this server's clock; a test gives its own.
local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What this server called its incarnation when it was last asked. It is the server's own memory: a restart and a full resync, which may change
-- its data, load the functions anew. specs/003-redis/plan.md says why what is remembered is never wrong.
local remembered
-- The same as a node has read it (vouch.lua), until it is made use of: where functions may not use INFO.
local vouched
-- Whether this call was given one, and whether it has asked: once is enough.
local is_given, has_asked

local function ask_incarnation()
  has_asked = true
  local info = redis.pcall('INFO', 'replication')
  if type(info) == 'table' then
    if not vouched then
      error({ err = 'NOINFO functions may not ask by INFO which incarnation this is' })
    end
    remembered, vouched = vouched, nil
    return remembered
  end
  -- A replica that can be written bears its primary's name.
  if not string.find(info, 'role:master', 1, true) then
    error({ err = 'READONLY a replica is no incarnation of its own' })
  end
  remembered = string.match(info, 'master_replid:(%x+)')
  return remembered
end

-- The incarnation of this server's data; a test gives its own.
local function incarnation(given)
  is_given, has_asked = given ~= '', false
  if is_given then
    return given
  end
  return remembered or ask_incarnation()
end

-- The same, where it is not the one that wrote a log: it may bear another name by now, which another version of these functions has found.
local function incarnation_now(token)
  if is_given then
    return token
  end
  return has_asked and remembered or ask_incarnation()
end

local function last_of(entry)
  return number(string.sub(entry[1], 3))
end

local function pack_header(count, latest, at, before)
  return struct.pack(HEADER, count, latest, at, before)
end

local function read_header(entry)
  local count, latest, at, before = struct.unpack(HEADER, entry[2][2])
  local last = last_of(entry)
  return { first = last - count + 1, last = last, latest = latest, at = at, before = before }
end

local function save(log)
  redis.call('SET', log.meta, struct.pack(META, FORMAT, log.head, log.bytes, log.latest, log.at, log.start, log.half, log.half_at, log.half_from,
    log.former, log.kept_at, log.epoch, log.token), 'KEEPTTL')
end

local function save_counters(log)
  redis.call('SETRANGE', log.meta, COUNTERS_AT, struct.pack(COUNTERS, log.head, log.bytes, log.latest, log.at))
end

-- The entry that `seq` is in, or the first after it.
local function entry_from(stream, seq)
  return redis.call('XRANGE', stream, '0-' .. seq, '+', 'COUNT', 1)[1]
end

local function stream_end(stream)
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return number(string.match(info[i + 1], '%-(%d+)$'))
    end
  end
end

-- A new epoch after what the stream still holds. Where the log was deleted it is the one that the deletion has named (delete.lua), which is odd as
-- no other is: so whoever had something in the log knows that it was not lost.
local function begin(log, epoch)
  local deleted = log.head == 0 and string.find(log.epoch, '[13579]$') and log.epoch
  log.epoch, log.head, log.changed = epoch, 0, true
  if redis.call('EXISTS', log.stream) == 1 then
    log.head = stream_end(log.stream)
    -- Where `meta` is gone, it is not known which half was the present one.
    log.former = math.max(log.former, 1)
    local last = redis.call('XREVRANGE', log.stream, '+', '-', 'COUNT', 1)[1]
    if last then
      local header = read_header(last)
      log.bytes = math.max(log.bytes, header.before + #last[2][4] + ENTRY_BYTES)
      log.latest, log.at = header.latest, math.max(log.at, header.at)
    end
  else
    log.epoch = deleted or epoch
    log.bytes, log.latest = 0, 0
    redis.call('XGROUP', 'CREATE', log.stream, '_', '$', 'MKSTREAM')
    redis.call('XGROUP', 'DESTROY', log.stream, '_')
    -- What they name is gone.
    redis.call('UNLINK', log.ids[0], log.ids[1])
    log.half_from, log.former = 0, 0
  end
  log.start = log.head
  save(log)
end

-- What a log is before its first message.
local EMPTY

-- The log at keys[at…at+3] as it was left, and its token.
local function load(keys, at)
  EMPTY = EMPTY or struct.pack(META, FORMAT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '')
  local format, head, bytes, latest, written_at, start, half, half_at, half_from, former, kept_at, epoch, token =
    struct.unpack(META, redis.call('GET', keys[at + 1]) or EMPTY)
  if format ~= FORMAT then
    error({ err = 'ERR this log is of another version of ArqonBus' })
  end
  return {
    stream = keys[at], meta = keys[at + 1], ids = { [0] = keys[at + 2], [1] = keys[at + 3] }, token = token, epoch = epoch, start = start,
    head = head, bytes = bytes, latest = latest, at = written_at, half = half, half_at = half_at, half_from = half_from, former = former,
    kept_at = kept_at, now = 0, changed = false,
  }
end

-- Opens the log at keys[at…at+3]; `epoch` is what a new one would be called.
local function enter(keys, at, token, epoch, now)
  local log = load(keys, at)
  -- A clock that was set back must not make an entry older than the one before.
  log.now = math.max(now, log.at)
  if log.token ~= token then
    token = incarnation_now(token)
  end
  if log.token ~= token then
    log.token, log.epoch = token, ''
    begin(log, epoch)
  end
  return log
end

-- The same, and the stream is there.
local function enter_stream(keys, at, token, epoch, now)
  local log = enter(keys, at, token, epoch, now)
  if redis.call('EXISTS', log.stream) == 0 then
    begin(log, epoch)
  end
  return log
end

-- Lets the keys live as long as what they hold may be asked for.
local function keep(log, settings)
  if log.now - log.kept_at < settings.keep_ms / 4 and not log.changed then
    return
  end
  for _, key in ipairs({ log.stream, log.meta, log.ids[0], log.ids[1] }) do
    redis.call('PEXPIRE', key, settings.keep_ms)
  end
  log.kept_at = log.now
  save(log)
end

local function holds(log, settings, header)
  return log.now - header.at < settings.age_ms and log.bytes - header.before <= settings.bytes
end

-- Entries that one call gives up, about: a server needs 2 µs for each, and serves nobody else meanwhile.
local TRIM_AT_ONCE = 5000

-- Gives up what lies before `first`. What one call leaves is not held all the same, and goes with the next.
local function trim(stream, first)
  -- Whole nodes of the stream, and only where those are done a part of one.
  if redis.call('XTRIM', stream, 'MINID', '~', '0-' .. first, 'LIMIT', TRIM_AT_ONCE) < TRIM_AT_ONCE / 2 then
    redis.call('XTRIM', stream, 'MINID', '=', '0-' .. first)
  end
end

-- The header of the first entry from `low` on that is neither too old nor too much. Age and bytes only grow towards the past: it is found by
-- halving. What lies before it is given up.
local function give_up(log, settings, low)
  local high, found = log.head + 1, nil
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = entry_from(log.stream, middle)
    local header = entry and read_header(entry)
    if not header then
      high = middle
    elseif holds(log, settings, header) then
      high, found = math.min(middle, header.first), header
    else
      low = header.last + 1
    end
  end
  trim(log.stream, found and found.first or log.head + 1)
  return found
end

-- The first seq that is held by the settings (head + 1 where none is), and the header of its entry.
local function first_held(log, settings)
  local low = math.max(1, log.head - settings.messages + 1)
  local entry = settings.messages > 0 and entry_from(log.stream, low)
  if not entry then
    return log.head + 1
  end
  local header = read_header(entry)
  if not holds(log, settings, header) then
    header = give_up(log, settings, header.last + 1)
  end
  return header and math.max(low, header.first) or log.head + 1, header
end

-- Settings by their text: a bus has few.
local parsed, parsed_count = {}, 0

local function parse_settings(text)
  local messages, age_ms, bytes, dedup_ms, dedup_ids, keep_ms = string.match(text, '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+)$')
  return {
    messages = number(messages), age_ms = number(age_ms), bytes = number(bytes), dedup_ms = number(dedup_ms), dedup_ids = number(dedup_ids),
    keep_ms = number(keep_ms),
  }
end

local function read_settings(text)
  local settings = parsed[text]
  if not settings then
    settings = parse_settings(text)
    if parsed_count == 1000 then
      parsed, parsed_count = {}, 0
    end
    parsed[text], parsed_count = settings, parsed_count + 1
  end
  return settings
end

-- epoch, where it began, head, first held (0 where nothing is), bytes.
local function state(log, settings)
  local first, header = first_held(log, settings)
  local bytes = header and log.bytes - header.before or 0
  return { log.epoch, log.start, log.head, first <= log.head and first or 0, bytes }
end
