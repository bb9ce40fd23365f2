"""The Lua scripts that write and delete hashes. They compare and set: what is newer in Redis stays.

Places in stamps come from `layout`; `$` marks what is filled in.
"""

from string import Template

from features.online.layout import LUA_NAMES

# PUBLISH and RESTAMP begin with this. The ends of TTLs are computed once, because EXPIRE is translated into PEXPIREAT
# for each key.
OPENING = """
local call, sub, time = redis.call, string.sub, redis.call('TIME')
local function end_of(ttl)
  return string.format('%.0f', (time[1] + ttl) * 1000 + math.floor(time[2] / 1000))
end
"""

# PUBLISH: write values over older ones.
#
# KEYS: the hashes. ARGV: the TTL, the TTL of a customer without values, and a msgpack document of columns, see
# `store.encode_versions`: for each feature type the stamp field, the stamps, the names, and a column of texts for each
# name, all in the order of the keys. For '' a name stays as it is, for false it is deleted.
# Returns the number of parts that were newer than what the hashes held.
#
# Of two stamps of one version, the newer has the later history row, and of one row the later moment; of two versions,
# the newer has the later moment. Names that the newer values do not have are deleted, and the others written, at once:
# no value of older ones stays between newer ones. The TTL is renewed either way.
#
# In the hash of an erased customer, values of rows that were there at the erasure are not written, and a hash without
# other values keeps its TTL.
PUBLISH = Template("""$opening
local function is_newer(held, new)
  if sub(held, $version_begins) == sub(new, $version_begins) then
    local row_held, row_new = sub(held, $row_begins), sub(new, $row_begins)
    if row_held ~= row_new then return row_held < row_new end
    return held < new
  end
  return sub(held, 1, $moment_ends) <= sub(new, 1, $moment_ends)
end
local held_until, absent_until, published = end_of(ARGV[1]), end_of(math.min(ARGV[1], ARGV[2])), 0
local parts, stamp_fields, new = cmsgpack.unpack(ARGV[3]), {}, {}
for n, part in ipairs(parts) do stamp_fields[n] = part[1] end
stamp_fields[#parts + 1] = '$erased_field'
for i, key in ipairs(KEYS) do
  local held = call('HMGET', key, unpack(stamp_fields))
  local erased, last, gone, holds_any = held[#stamp_fields], 0, {}, false
  for n, part in ipairs(parts) do
    local stamp = part[2][i]
    local is_erased = erased and stamp ~= '' and sub(stamp, $row_begins, $row_ends) <= erased
    if is_erased or held[n] and not is_newer(held[n], stamp) then
      stamp = held[n]
    else
      new[last + 1], new[last + 2] = part[1], stamp
      last = last + 2
      local columns = part[4]
      for m, name in ipairs(part[3]) do
        local text = columns[m][i]
        if not text then
          if held[n] then gone[#gone + 1] = name end
        elseif text ~= '' then
          new[last + 1], new[last + 2] = name, text
          last = last + 2
        end
      end
      published = published + 1
    end
    if stamp and stamp ~= '' then holds_any = true end
  end
  -- Written first: a full Redis refuses HSET only where its script has written nothing yet.
  for begin = 1, last, 4000 do call('HSET', key, unpack(new, begin, math.min(begin + 3999, last))) end
  for begin = 1, #gone, 4000 do call('HDEL', key, unpack(gone, begin, math.min(begin + 3999, #gone))) end
  if holds_any or not erased then call('PEXPIREAT', key, holds_any and held_until or absent_until) end
end
return published
""").substitute(LUA_NAMES, opening=OPENING)

# RESTAMP: give hashes a later moment, the values that changed, and a new TTL.
#
# KEYS: the hashes. ARGV: the TTL, the moment, and a msgpack document of columns, see `restamp.RestampedHashes`: stamp
# fields, expected rows, new rows, names, changed values; the columns are in the order of the keys.
# Returns the places of the hashes that hold other rows than expected; they stay as they are. Hashes of a later moment
# stay as they are, too.
RESTAMP = Template("""$opening
local moment, held_until = ARGV[2], end_of(ARGV[1])
local stamps, expected, endings, names, changed = unpack(cmsgpack.unpack(ARGV[3]))
local width, new, others = #stamps, {}, {}
for n, stamp in ipairs(stamps) do new[2 * n - 1] = stamp end
for i, key in ipairs(KEYS) do
  local held, is_expected, is_later = width > 0 and call('HMGET', key, unpack(stamps)), true, false
  for n = 1, width do
    local stamp = held[n]
    if not stamp or sub(stamp, $row_text_begins) ~= expected[n][i] then
      is_expected = false
      others[#others + 1] = i
      break
    end
    is_later = is_later or stamp > moment
    new[2 * n] = stamp == '' and '' or moment .. (endings[n] and endings[n][i] or expected[n][i])
  end
  if is_expected and not is_later then
    local last = 2 * width
    for n, name in ipairs(names) do
      local text = changed[n][i]
      if not text then
        call('HDEL', key, name)
      elseif text ~= '' then
        new[last + 1], new[last + 2] = name, text
        last = last + 2
      end
    end
    if last > 0 then call('HSET', key, unpack(new, 1, last)) end
    call('PEXPIREAT', key, held_until)
  end
end
return others
""").substitute(LUA_NAMES, opening=OPENING)

# ERASE: delete hashes, and leave in their place the row up to which nothing is published any more.
#
# KEYS: the hashes. ARGV: the row, and for how many seconds it stays. Returns the number of hashes that there were.
#
# All are deleted first: a Redis without memory lets a script delete, and then write.
ERASE = Template("""
local call, deleted = redis.call, 0
for _, key in ipairs(KEYS) do
  if call('HLEN', key) > call('HEXISTS', key, '$erased_field') then deleted = deleted + 1 end
  call('DEL', key)
end
for _, key in ipairs(KEYS) do
  call('HSET', key, '$erased_field', ARGV[1])
  call('EXPIRE', key, ARGV[2])
end
return deleted
""").substitute(LUA_NAMES)
