-- ARGV: JSON with `limits`. Counts a start that may still be refused for other reasons; returns as `count_start` does.
return count_start(cjson.decode(ARGV[1]).limits, clock())
