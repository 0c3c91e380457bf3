-- Applies changes, all of them or none: KEYS has one entry for each, ARGV what is to be done.
-- The same as Entry::apply does to entries in a file; src/reputation/redis.rs writes the arguments.

-- Compares octets, whatever the server's locale.
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- A field's value: order (16 octets), time in decimal, colon, value.
local function read(packed)
  local colon = packed:find(':', 17, true)
  return packed:sub(1, 16), packed:sub(17, colon - 1), packed:sub(colon + 1)
end

local function expect(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end

local function keep(key, life)
  if redis.call('TTL', key) < tonumber(life) then redis.call('EXPIRE', key, life) end
end

local next = 0
local function argument()
  next = next + 1
  return ARGV[next]
end

for _, key in ipairs(KEYS) do
  local what, name = argument(), argument()
  if what == 'note' then
    local at, first, most, life = argument(), argument(), argument(), argument()
    expect(key, 'zset')
    redis.call('ZADD', key, 'GT', at, name)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. first)
    redis.call('ZREMRANGEBYRANK', key, 0, -1 - tonumber(most))
    keep(key, life)
  elseif what == 'put' then
    local at, order, equal, value = argument(), argument(), argument(), argument()
    local most, life = tonumber(argument()), argument()
    expect(key, 'hash')
    local there = redis.call('HGET', key, name)
    if there then
      local known, since, old = read(there)
      local wins = less(known, order) or (equal == '1' and known == order)
      if not wins then order, value = known, old end
      if tonumber(since) > tonumber(at) then at = since end
    end
    redis.call('HSET', key, name, order .. at .. ':' .. value)
    local excess = redis.call('HLEN', key) - most
    while excess > 0 do
      local fields = redis.call('HGETALL', key)
      local oldest, time
      for i = 1, #fields, 2 do
        local _, since = read(fields[i + 1])
        since = tonumber(since)
        if not oldest or since < time or (since == time and less(fields[i], oldest)) then
          oldest, time = fields[i], since
        end
      end
      redis.call('HDEL', key, oldest)
      excess = excess - 1
    end
    keep(key, life)
  else
    local kind = redis.call('TYPE', key).ok
    if kind == 'zset' then redis.call('ZREM', key, name) end
    if kind == 'hash' then redis.call('HDEL', key, name) end
  end
end
return #KEYS
