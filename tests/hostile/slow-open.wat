;; Takes some processor time for each table: within the limit of a call, not within that of a file with many tables.
;;@open
    (local $left i64)
    (local.set $left (i64.const 20000000))
    (loop $next
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $next (i64.ne (local.get $left) (i64.const 0))))
