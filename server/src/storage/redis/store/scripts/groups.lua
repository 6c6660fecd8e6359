-- Work groups of one log: who has which message, until when, and how often it was given out.
--
-- A group is four keys with the log's hash tag:
--   group:G        hash: epoch, cursor, bytes of what is pending, used_at, kept_at, gap (the last that was told), and the latest batches
--   group:G:jobs   hash: for each pending job <seq> → record, and b<seq> → the message as it lies in the log's entry, so that it outlives the log's hold on it
--   group:G:order  sorted set of all pending seqs, by score: SPENT + seq for what is given out no more, seq for what is free, HELD + ms for what
--                  is held or put off until then
--   group:G:held   sorted set of <holder>:<seq>, all of one score: a holder's jobs lie side by side
-- and `groups` is the set of the names, so that groups end with their log.
--
-- One entry of the stream holds all messages that were appended together, so consumer groups of Redis, which know whole entries, do not fit.
--
-- KEYS  stream, meta, ids:0, ids:1, feed, groups; then of each group: group, jobs, order, held
-- ARGV  token, now, node, publish command, count command, followers that are this node's, the name of this batch ("" where it cannot come
--       twice), epoch for a new one, settings, how many groups;
--       for each group: name, settings, epoch and cursor as its caller knows them, 1 where members are there, 1 where an answer was lost,
--         1 where a group that is not there was lost and not deleted;
--       how many questions, and each: which group, kind, and what it needs
-- gives the log's state or nothing, the state of each group, and an answer to each question

local SPENT, HELD = -2251799813685248, 2251799813685248
local DEAD = 'dead'
-- Dead jobs that one claim gives: each is published before it is settled.
local DEAD_AT_ONCE = 32
-- Jobs that one question takes or gives: a server serves nobody else meanwhile, and Lua hands a command 8,000 arguments at most. What is left is
-- asked for again.
local JOBS_AT_ONCE = 1000
-- Milliseconds for which a group outlives what its settings say, so that a node has time to forget it, and to tell.
local GROUP_GRACE_MS = 3600000
-- Milliseconds by which a busy node may be late to say that it has members.
local LATE_MS = 5000
-- Bytes of `,"epoch":"<13>","seq":` in a delivered envelope.
local POSITION_BYTES = 31

local function read_record(text)
  local deliveries, epoch, bytes, dead, failed, holder, reason = string.match(text, '^(%d+),(%d+),(%d+),(%d),(%a),([^,]*),(.*)$')
  return { deliveries = number(deliveries), epoch = epoch, bytes = number(bytes), dead = dead, failed = failed, holder = holder, reason = reason }
end

local function record_text(job)
  return table.concat({ job.deliveries, job.epoch, job.bytes, job.dead, job.failed, job.holder, job.reason }, ',')
end

-- The records of jobs by seq; false for what is not pending.
local function read_records(group, seqs)
  local records = {}
  for i, text in ipairs(redis.call('HMGET', group.jobs, unpack(seqs))) do
    records[i] = text and read_record(text)
  end
  return records
end

local function group_settings(text)
  local ack_ms, deliveries, pending, bytes, forget_ms = string.match(text, '^(%d+),(%d+),(%d+),(%d+),(%d+)$')
  return {
    ack_ms = number(ack_ms), deliveries = number(deliveries), pending = number(pending), bytes = number(bytes), forget_ms = number(forget_ms),
  }
end

-- The group at keys[at…at+3], which may not be there.
local function enter_group(keys, at, name, settings)
  local group = { meta = keys[at], jobs = keys[at + 1], order = keys[at + 2], held = keys[at + 3], name = name, settings = group_settings(settings) }
  local held = redis.call('HMGET', group.meta, 'epoch', 'cursor', 'bytes', 'used_at', 'kept_at')
  group.epoch, group.cursor, group.bytes, group.used_at, group.kept_at = held[1], number(held[2]), number(held[3]), number(held[4]), number(held[5])
  group.pending = redis.call('ZCARD', group.order)
  group.was_full = group.pending >= group.settings.pending or group.bytes >= group.settings.bytes
  return group
end

local function write_group(group)
  redis.call('HSET', group.meta, 'epoch', group.epoch, 'cursor', group.cursor, 'bytes', digits(group.bytes))
end

-- As `storage/resume.rs`: the seq after which delivery goes on, and the reason of the gap before it.
local function resume(log, epoch, seq, before_first)
  if epoch ~= log.epoch then
    return before_first, 'e'
  elseif seq > log.head then
    return log.head, 'a'
  elseif seq < before_first then
    return before_first, 't'
  end
  return seq, ''
end

local function open_group(log, group, before_first, how, a, b)
  if group.epoch then
    return { 0, '' }
  end
  local reason = ''
  if how == 's' then
    group.cursor, reason = resume(log, a, number(b), before_first)
  elseif how == 'r' then
    group.cursor = math.max(log.head - number(a), before_first)
  else
    group.cursor = log.head
  end
  group.epoch, group.is_new = log.epoch, true
  write_group(group)
  redis.call('SADD', log.groups, group.name)
  return { 1, reason }
end

-- Goes over to where the log goes on; gives the gap before that.
local function follow(log, group, before_first)
  local from_epoch, from, reason = group.epoch, group.cursor, 'e'
  if group.is_lost then
    redis.call('SADD', log.groups, group.name)
    group.is_new = true
  end
  if group.is_lost or (group.epoch ~= log.epoch and group.cursor > log.start) then
    -- What was pending names messages that this log does not hold.
    redis.call('UNLINK', group.jobs, group.order, group.held)
    group.cursor, group.bytes, group.pending = before_first, 0, 0
  elseif group.epoch ~= log.epoch then
    -- The new epoch began after all that was given out: those are the same messages, and what is pending stays so.
    group.cursor = math.max(group.cursor, before_first)
  else
    group.cursor, reason = resume(log, group.epoch, group.cursor, before_first)
  end
  group.epoch = log.epoch
  if reason == '' then
    return ''
  end
  local gap = table.concat({ reason, from_epoch, from, group.epoch, group.cursor }, ',')
  write_group(group)
  redis.call('HSET', group.meta, 'gap', gap)
  return gap
end

-- Hands jobs to a holder. Each is { seq, job } and, where it is new, the message.
local function hand_over(log, group, holder, given)
  if #given == 0 then
    return
  end
  local due = digits(HELD + log.now + group.settings.ack_ms)
  local records, order, held = {}, {}, {}
  for _, one in ipairs(given) do
    local seq, job = one[1], one[2]
    job.holder, job.epoch = holder, group.epoch
    records[#records + 1], records[#records + 2] = seq, record_text(job)
    if one[3] then
      records[#records + 1], records[#records + 2] = 'b' .. seq, one[3]
    end
    order[#order + 1], order[#order + 2] = due, seq
    held[#held + 1], held[#held + 2] = 0, holder .. ':' .. seq
  end
  redis.call('HSET', group.jobs, unpack(records))
  group.pending = group.pending + redis.call('ZADD', group.order, unpack(order))
  group.is_new = redis.call('ZADD', group.held, unpack(held)) == redis.call('ZCARD', group.held) or group.is_new
end

-- What lies in a band of `order`, lowest first.
local function band(group, low, high, count)
  return redis.call('ZRANGEBYSCORE', group.order, low, high, 'LIMIT', 0, count)
end

local FREE_FROM, FREE_TO = '(0', '(2251799813685248'

local function bodies_of(group, seqs)
  local fields = {}
  for i, seq in ipairs(seqs) do
    fields[i] = 'b' .. seq
  end
  return redis.call('HMGET', group.jobs, unpack(fields))
end

-- Jobs that are given out no more, to be published elsewhere.
local function claim_dead(log, group)
  local seqs, given, reply = band(group, '-inf', '(0', DEAD_AT_ONCE), {}, {}
  if #seqs == 0 then
    return reply
  end
  local bodies = bodies_of(group, seqs)
  for i, job in ipairs(read_records(group, seqs)) do
    given[i] = { seqs[i], job }
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3], reply[#reply + 4], reply[#reply + 5] =
      number(seqs[i]), job.deliveries, job.failed, job.reason, bodies[i]
  end
  hand_over(log, group, DEAD, given)
  return reply
end

-- Whether a job of so many bytes is still wanted; takes it out of what is.
local function takes(want, cost)
  if want.jobs == 0 or want.bytes == 0 or (cost > want.bytes and want.given > 0) then
    return false
  end
  want.jobs, want.bytes, want.given = want.jobs - 1, math.max(0, want.bytes - cost), want.given + 1
  return true
end

-- Jobs that came back. Gives false where some are left.
local function claim_free(group, want, given, reply)
  local seqs = want.jobs > 0 and band(group, FREE_FROM, FREE_TO, want.jobs) or {}
  if #seqs == 0 then
    return true
  end
  local taken, is_empty = {}, true
  for i, job in ipairs(read_records(group, seqs)) do
    if not takes(want, job.bytes) then
      is_empty = false
      break
    end
    job.deliveries = job.deliveries + 1
    taken[i], given[i] = seqs[i], { seqs[i], job }
  end
  -- Only of those that are taken: the others may be many, and large.
  local bodies = #taken > 0 and bodies_of(group, taken) or {}
  for i, one in ipairs(given) do
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = number(one[1]), one[2].deliveries, bodies[i]
  end
  return is_empty
end

-- The messages of one entry, each with the line before it. A busy group takes an entry in many parts: the last ones are kept as they were cut.
-- A message has its seq for as long as there is its epoch, so what is kept stays true.
local cut_entries, cut_names, cut_next = {}, {}, 1
local CUT_ENTRIES = 16

local function cut_entry(log, seq)
  local name = log.stream .. log.epoch
  for _, kept in pairs(cut_entries) do
    if kept.name == name and kept.first <= seq and seq <= kept.last then
      return kept
    end
  end
  local entry = entry_from(log.stream, seq)
  if not entry then
    return nil
  end
  local header, blob, at = read_header(entry), entry[2][4], 1
  local cut = { name = name, first = header.first, last = header.last, messages = {}, bytes = {} }
  for i = 1, header.last - header.first + 1 do
    local stop = string.find(blob, '\n', at, true)
    cut.bytes[i] = number(string.match(string.sub(blob, at, stop - 1), '(%d+)$'))
    cut.messages[i] = string.sub(blob, at, stop + cut.bytes[i])
    at = stop + cut.bytes[i] + 1
  end
  cut_entries[cut_next], cut_next = cut, cut_next % CUT_ENTRIES + 1
  return cut
end

-- Messages that the group comes to for the first time.
local function claim_new(log, group, want, given, reply)
  local room, bytes, first = group.settings.pending - group.pending - #given, group.settings.bytes - group.bytes, true
  while room > 0 and bytes > 0 and want.jobs > 0 and group.cursor < log.head do
    local seq = group.cursor + 1
    local cut = cut_entry(log, seq)
    if not cut then
      return
    end
    seq = math.max(seq, cut.first)
    local text = digits(seq)
    local at = seq - cut.first + 1
    local cost = cut.bytes[at] + POSITION_BYTES + #text
    if (cost > bytes and not first) or not takes(want, cost) then
      return
    end
    given[#given + 1] = { text, { deliveries = 1, bytes = cost, dead = 0, failed = 't', reason = '' }, cut.messages[at] }
    reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = seq, 1, cut.messages[at]
    group.cursor, group.bytes, room, bytes, first = seq, group.bytes + cost, room - 1, bytes - cost, false
  end
end

local function claim(log, group, known, before_first, holder, jobs, bytes)
  local want = { jobs = math.min(number(jobs), JOBS_AT_ONCE), bytes = number(bytes), given = 0 }
  if not group.epoch then
    if not known.may_begin then
      return { 0, 'gone', {}, {} }
    end
    -- Its caller has opened it: it was lost with the data, or evicted.
    group.is_lost, group.epoch, group.cursor = true, known.epoch, number(known.cursor)
  end
  local gap = ''
  if want.jobs > 0 then
    gap = follow(log, group, before_first)
    if gap == '' and known.is_in_doubt then
      gap = redis.call('HGET', group.meta, 'gap') or ''
    end
  elseif group.epoch ~= log.epoch or group.is_lost then
    -- A gap is told to somebody who gets jobs.
    return { 1, '', {}, {} }
  end
  local dead, given, reply, cursor = claim_dead(log, group), {}, {}, group.cursor
  local is_empty = claim_free(group, want, given, reply)
  hand_over(log, group, holder, given)
  if is_empty then
    given = {}
    claim_new(log, group, want, given, reply)
    hand_over(log, group, holder, given)
  end
  if group.cursor ~= cursor then
    write_group(group)
  end
  local more = group.cursor < log.head or #band(group, '-inf', FREE_TO, 1) > 0
  return { more and 1 or 0, gap, reply, dead }
end

-- Takes jobs out of the hands that hold them, or out of their rest: each is { seq, job }, `came_from` its holder, "" for none. What is left to be
-- given out is free, or spent; `until_ms` puts it off.
local function put_back(group, given, until_ms)
  local records, order, held = {}, {}, {}
  for _, one in ipairs(given) do
    local seq, job = one[1], one[2]
    if job.holder ~= '' then
      held[#held + 1] = job.holder .. ':' .. seq
    end
    local is_spent = job.dead == '1' or job.holder == DEAD or (group.settings.deliveries > 0 and job.deliveries >= group.settings.deliveries)
    local score = is_spent and digits(SPENT + seq) or seq
    job.holder = ''
    records[#records + 1], records[#records + 2] = seq, record_text(job)
    order[#order + 1], order[#order + 2] = until_ms and digits(HELD + until_ms) or score, seq
  end
  if #order > 0 then
    redis.call('HSET', group.jobs, unpack(records))
    redis.call('ZADD', group.order, unpack(order))
    group.gave_back = group.gave_back or not until_ms
  end
  if #held > 0 then
    redis.call('ZREM', group.held, unpack(held))
  end
end

-- Jobs that are done.
local function remove(group, given)
  local records, seqs, held = {}, {}, {}
  for i, one in ipairs(given) do
    seqs[i], held[i] = one[1], one[2].holder .. ':' .. one[1]
    records[2 * i - 1], records[2 * i] = one[1], 'b' .. one[1]
    group.bytes = group.bytes - one[2].bytes
  end
  redis.call('HDEL', group.jobs, unpack(records))
  redis.call('ZREM', group.held, unpack(held))
  group.pending = group.pending - redis.call('ZREM', group.order, unpack(seqs))
  redis.call('HSET', group.meta, 'bytes', digits(group.bytes))
end

local function settle(log, group, holder, epoch, outcome, delay_ms, reason, text)
  local seqs, given, not_held = {}, {}, {}
  for seq in string.gmatch(text, '%d+') do
    seqs[#seqs + 1] = seq
  end
  for i, job in ipairs(read_records(group, seqs)) do
    if job and job.epoch == epoch and job.holder == holder then
      given[#given + 1] = { seqs[i], job }
      if outcome ~= 'd' then
        job.failed, job.reason = string.sub(reason, 1, 1), string.sub(reason, 2)
        job.dead = outcome == 'x' and '1' or job.dead
      end
    else
      not_held[#not_held + 1] = number(seqs[i])
    end
  end
  if #given > 0 and outcome == 'd' then
    remove(group, given)
  elseif #given > 0 then
    put_back(group, given, number(delay_ms) > 0 and log.now + number(delay_ms))
  end
  return not_held
end

-- Takes back what is due, or what one holder has; gives whether that holder may have more, and who held what. What else
-- is due is so at the next look.
local function free(log, group, holder)
  local seqs, given = {}, {}
  if holder == '' then
    seqs = band(group, digits(HELD), digits(HELD + log.now), JOBS_AT_ONCE)
  else
    for i, member in ipairs(redis.call('ZRANGEBYLEX', group.held, '[' .. holder .. ':', '(' .. holder .. ';', 'LIMIT', 0, JOBS_AT_ONCE)) do
      seqs[i] = string.sub(member, #holder + 2)
    end
  end
  local reply = { holder ~= '' and #seqs == JOBS_AT_ONCE and 1 or 0 }
  if #seqs == 0 then
    return reply
  end
  for i, job in ipairs(read_records(group, seqs)) do
    if job.holder ~= '' and job.holder ~= DEAD then
      reply[#reply + 1], reply[#reply + 2] = job.holder, number(seqs[i])
      job.failed, job.reason = holder == '' and 't' or 'm', ''
    end
    given[i] = { seqs[i], job }
  end
  put_back(group, given)
  return reply
end

-- Ends a group that nobody has used for long: 0 where somebody has, 1 where it ends, 2 where it was not there.
local function forget(log, group)
  if not group.epoch then
    return { 2 }
  end
  local forget_ms = group.settings.forget_ms
  if forget_ms > 0 and log.now - group.used_at < forget_ms + LATE_MS then
    return { 0 }
  end
  redis.call('UNLINK', group.meta, group.jobs, group.order, group.held)
  redis.call('SREM', log.groups, group.name)
  group.epoch, group.pending, group.bytes = nil, 0, 0
  return { 1 }
end

-- Lets the group live for as long as somebody uses it.
local function keep_group(log, settings, group, is_used)
  if not group.epoch then
    return
  end
  if is_used and log.now - group.used_at >= group.settings.forget_ms / 8 then
    redis.call('HSET', group.meta, 'used_at', log.now)
  end
  local keep_ms = math.max(settings.keep_ms, group.settings.forget_ms + GROUP_GRACE_MS)
  if group.is_new or (is_used and log.now - group.kept_at >= keep_ms / 8) then
    for _, key in ipairs({ group.meta, group.jobs, group.order, group.held, log.groups }) do
      redis.call('PEXPIRE', key, keep_ms)
    end
    redis.call('HSET', group.meta, 'kept_at', log.now)
  end
end

-- Lets other nodes know of jobs that came back and were not taken again, and of room for new ones.
local function tell_group(group, node, commands, feed, followers)
  local is_full = group.pending >= group.settings.pending or group.bytes >= group.settings.bytes
  local is_news = (group.gave_back and #band(group, '-inf', FREE_TO, 1) > 0) or (group.was_full and not is_full)
  if is_news and redis.call('PUBSUB', commands.count, feed)[2] > followers then
    redis.call(commands.publish, feed, table.concat({ 'g', node, group.name }, ' '))
  end
end

-- epoch, cursor, pending, milliseconds until the next is due; -1 for none.
local function group_state(log, group)
  local due = redis.call('ZRANGEBYSCORE', group.order, digits(HELD), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  return { group.epoch or '0', group.cursor, group.pending, due and math.max(0, number(due) - HELD - log.now) or -1 }
end

-- Whether this batch was carried out before: a cluster's client may send it again, at once. The latest batches of all callers are known.
local BATCHES_BYTES = 2000

local function is_repeated(group, batch)
  if batch == '' or not group.epoch then
    return false
  end
  local name, known = ' ' .. batch .. ' ', redis.call('HGET', group.meta, 'batches') or ''
  if string.find(known, name, 1, true) then
    return true
  end
  redis.call('HSET', group.meta, 'batches', string.sub(known .. name, -BATCHES_BYTES))
  return false
end

-- How many arguments each kind of question has.
local ARGUMENTS = { o = 3, c = 3, s = 6, f = 1, x = 0 }

local function answer(log, group, known, before_first, kind, a)
  if kind == 'o' then
    known.is_used = true
    return open_group(log, group, before_first, a[1], a[2], a[3])
  elseif kind == 'c' then
    return claim(log, group, known, before_first, a[1], a[2], a[3])
  elseif kind == 's' then
    return settle(log, group, a[1], a[2], a[3], a[4], a[5], a[6])
  elseif kind == 'f' then
    return free(log, group, a[1])
  end
  return forget(log, group)
end

redis.register_function('arqonbus_groups_VERSION', function(KEYS, ARGV)
  local log = enter_stream(KEYS, 1, incarnation(ARGV[1]), ARGV[8], clock(ARGV[2]))
  log.groups = KEYS[6]
  local settings = read_settings(ARGV[9])
  keep(log, settings)
  local held = state(log, settings)
  local before_first = held[4] > 0 and held[4] - 1 or log.head
  local groups, knowns, at = {}, {}, 11
  for i = 1, number(ARGV[10]) do
    local group = enter_group(KEYS, 3 + 4 * i, ARGV[at], ARGV[at + 1])
    groups[i] = group
    knowns[i] = { epoch = ARGV[at + 2], cursor = ARGV[at + 3], is_used = ARGV[at + 4] == '1', is_in_doubt = ARGV[at + 5] == '1' }
    knowns[i].may_begin = ARGV[at + 6] == '1'
    if is_repeated(group, ARGV[7]) then
      return redis.error_reply('REPEATED this was asked before')
    end
    at = at + 7
  end
  local replies = { held, {} }
  at = at + 1
  for _ = 1, number(ARGV[at - 1]) do
    local which, kind, arguments = number(ARGV[at]), ARGV[at + 1], {}
    for i = 1, ARGUMENTS[kind] do
      arguments[i] = ARGV[at + 1 + i]
    end
    replies[#replies + 1] = answer(log, groups[which], knowns[which], before_first, kind, arguments)
    at = at + 2 + ARGUMENTS[kind]
  end
  for i, group in ipairs(groups) do
    keep_group(log, settings, group, knowns[i].is_used)
    tell_group(group, ARGV[3], { publish = ARGV[4], count = ARGV[5] }, KEYS[5], number(ARGV[6]))
    replies[2][i] = group_state(log, group)
  end
  return replies
end)
