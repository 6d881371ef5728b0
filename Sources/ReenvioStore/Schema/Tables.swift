/// The tables, by feature, one file each. Times are microseconds since 1970 in columns named `_at`, whole seconds in
/// columns named `_s`. Whatever could be sharded carries `merchant_id` first in its key.
enum Tables {}
