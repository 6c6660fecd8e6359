-- Appends messages to one log or several: fence, ids, one entry, and one notice for each topic.
--
-- KEYS  stream, meta, ids:0, ids:1, feed of each topic
-- ARGV  token, now, node, publish command, count command, 1 where replicas are waited for
--       for each topic: epoch for a new one, settings, 1 where this node follows the feed, how many messages, the field b of the entry,
--         for each message its key (16 bytes; none comes twice), for each its content (8 bytes)
-- gives for each topic: epoch, start, first seq given (0 for none), and nothing more where every message was stored;
--       else for each message its seq; -seq for one that was stored before; 0 for an id of another content

-- A notice with more than this says only where the head is, and the rest is read. No batch of a node has more.
local NOTICE_BYTES = 327680
-- What a key leads to: the first seq of those that were stored together, and which of them it is. Under that first seq are the time and the contents
-- of all; a message that came alone has them behind its own place.
local FIRST, INDEX, PLACE = '<I6', '<H', '<I6H'
local PLACE_BYTES, FIRST_BYTES = 8, 6

-- Indexes as packed: made once, and not at every call.
local packed = {}

local function packed_index(i)
  packed[i] = packed[i] or struct.pack(INDEX, i - 1)
  return packed[i]
end

-- Begins the next half of the window where the present one is over, or full.
local function turn(log, settings)
  if log.now - log.half_at < settings.dedup_ms and log.head - log.half_from < settings.dedup_ids then
    return
  end
  log.former = log.head - log.half_from
  log.half, log.half_at, log.half_from, log.changed = 1 - log.half, log.now, log.head, true
  redis.call('UNLINK', log.ids[log.half])
  save(log)
end

-- The seq and the content of the message at this place; nothing once the window is over.
local function recall(log, settings, half, place)
  local first, index = struct.unpack(PLACE, place)
  local rest = string.sub(place, PLACE_BYTES + 1)
  if rest == '' then
    rest = redis.call('HGET', log.ids[half], string.sub(place, 1, FIRST_BYTES))
  end
  local at, contents = struct.unpack(NUMBER, rest)
  if log.now - at < settings.dedup_ms then
    return { seq = first + index, content = string.sub(rest, contents + 8 * index, contents + 8 * index + 7) }
  end
end

-- Looks `keys` up in one half; adds what is found and still in the window to `seen`, by index: nil while nothing is.
local function look_up(log, settings, half, keys, seen)
  for i, place in ipairs(redis.call('HMGET', log.ids[half], unpack(keys))) do
    local found = place and recall(log, settings, half, place)
    if found then
      seen = seen or {}
      seen[i] = found
    end
  end
  return seen
end

-- Whether the bound on messages should be looked at: a few times while they are used up once.
local function is_trimmed(settings, before, last)
  return settings.messages < 16 or math.floor(last * 8 / settings.messages) ~= math.floor(before * 8 / settings.messages)
end

local function add(log, settings, count, blob)
  local last, added = log.head + count, nil
  local header = pack_header(count, log.latest, log.now, log.bytes)
  if is_trimmed(settings, log.head, last) then
    added = redis.call('XADD', log.stream, 'NOMKSTREAM', 'MINID', settings.messages > 0 and '~' or '=',
      '0-' .. math.max(0, last - settings.messages + 1), '0-' .. last, 'h', header, 'b', blob)
  else
    added = redis.call('XADD', log.stream, 'NOMKSTREAM', '0-' .. last, 'h', header, 'b', blob)
  end
  if added then
    log.head, log.bytes, log.at = last, log.bytes + #blob + ENTRY_BYTES, log.now
  end
  return added
end

-- Without those that were seen: how many are left, their messages, keys and contents.
local function fewer(blob, keys, contents, seen)
  local blobs, left_keys, left_contents, at = {}, {}, {}, 1
  for i, key in ipairs(keys) do
    local stop = string.find(blob, '\n', at, true)
    local length = number(string.match(string.sub(blob, at, stop - 1), '(%d+)$'))
    if not seen[i] then
      local left = #left_keys + 1
      blobs[left], left_keys[left], left_contents[left] = string.sub(blob, at, stop + length), key, string.sub(contents, 8 * i - 7, 8 * i)
    end
    at = stop + length + 1
  end
  return #left_keys, table.concat(blobs), left_keys, table.concat(left_contents)
end

-- Whether the bounds on age and bytes should be looked at: a few times while they are used up once, and not at every entry.
local function is_due(log, settings, bytes_before, at_before)
  return math.floor(log.bytes * 8 / settings.bytes) ~= math.floor(bytes_before * 8 / settings.bytes)
    or math.floor(log.now * 8 / settings.age_ms) ~= math.floor(at_before * 8 / settings.age_ms)
end

local function tell(log, node, commands, feed, follows, first, blob)
  -- Where nobody else follows, nobody is told: whoever comes reads the head once its subscription stands.
  if redis.call('PUBSUB', commands.count, feed)[2] <= follows then
    return
  end
  local count = #blob <= NOTICE_BYTES and log.head - first + 1 or 0
  local header = table.concat({ 'a', node, log.epoch, digits(log.head), count }, ' ')
  redis.call(commands.publish, feed, count > 0 and header .. '\n' .. blob or header)
end

-- Stores `count` messages and their ids; gives the first seq.
local function store(log, settings, epoch, count, blob, keys, contents)
  if not add(log, settings, count, blob) then
    begin(log, epoch)
    add(log, settings, count, blob)
  end
  local first = log.head - count + 1
  local packed_first, rest = struct.pack(FIRST, first), struct.pack(NUMBER, log.at) .. contents
  if count == 1 then
    redis.call('HSET', log.ids[log.half], keys[1], packed_first .. packed_index(1) .. rest)
  else
    local known = {}
    for i = 1, count do
      known[2 * i - 1], known[2 * i] = keys[i], packed_first .. (packed[i] or packed_index(i))
    end
    redis.call('HSET', log.ids[log.half], packed_first, rest, unpack(known))
  end
  save_counters(log)
  return first
end

local function seqs(count, seen, contents, first)
  local reply, given = {}, 0
  for i = 1, count do
    if not seen[i] then
      reply[i] = first + given
      given = given + 1
    else
      reply[i] = seen[i].content == string.sub(contents, 8 * i - 7, 8 * i) and -seen[i].seq or 0
    end
  end
  return reply
end

local function append(log, settings, topic, count, ids, contents)
  local bytes_before, at_before = log.bytes, log.at
  turn(log, settings)
  local sub, keys, seen = string.sub, {}, nil
  for i = 1, count do
    keys[i] = sub(ids, 16 * i - 15, 16 * i)
  end
  if log.head > log.half_from then
    seen = look_up(log, settings, log.half, keys, seen)
  end
  if log.former > 0 then
    seen = look_up(log, settings, 1 - log.half, keys, seen)
  end
  local left, blob, left_keys, left_contents, first = count, topic.blob, keys, contents, 0
  if seen then
    left, blob, left_keys, left_contents = fewer(blob, keys, contents, seen)
  end
  if left > 0 then
    -- It never falls from entry to entry.
    log.latest = math.max(log.latest, topic.latest)
    first = store(log, settings, topic.epoch, left, blob, left_keys, left_contents)
    if is_due(log, settings, bytes_before, at_before) then
      first_held(log, settings)
    end
    tell(log, topic.node, topic.commands, topic.feed, topic.follows, first, blob)
  elseif topic.waits then
    -- WAIT is about the latest write of its connection: where all was stored before, by another, there is none to wait for. The next write is this.
    log.changed = true
  end
  keep(log, settings)
  if seen then
    return { log.epoch, log.start, first, unpack(seqs(count, seen, contents, first)) }
  end
  return { log.epoch, log.start, first }
end

redis.register_function('arqonbus_append_VERSION', function(KEYS, ARGV)
  local token, now = incarnation(ARGV[1]), clock(ARGV[2])
  local topic = { node = ARGV[3], commands = { publish = ARGV[4], count = ARGV[5] }, waits = ARGV[6] == '1' }
  local replies, at = {}, 7
  for key = 1, #KEYS, 5 do
    topic.epoch, topic.latest, topic.follows, topic.blob, topic.feed = ARGV[at], number(ARGV[at + 2]), number(ARGV[at + 3]), ARGV[at + 5], KEYS[key + 4]
    local settings, count = read_settings(ARGV[at + 1]), number(ARGV[at + 4])
    local log = enter(KEYS, key, token, topic.epoch, now)
    replies[#replies + 1] = append(log, settings, topic, count, ARGV[at + 6], ARGV[at + 7])
    at = at + 8
  end
  return replies
end)
