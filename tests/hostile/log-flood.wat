;; Writes ten thousand long lines full of terminal escapes.
;;@map-batch
    (memory.fill (i32.const 8192) (i32.const 0x1b) (i32.const 5000))
    (local.set $row (i32.const 0))
    (loop $next
      (call $log (i32.const 3) (i32.const 8192) (i32.const 5000))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $row) (i32.const 10000))))
