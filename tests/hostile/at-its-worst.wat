;; Takes what its limits leave it and not more: nearly all of its memory, nearly a call's processor time for each batch,
;; and all the log of a call. Nothing of it fails.
;;@open
    (drop (memory.grow (i32.const 900)))
    (memory.fill (i32.const 1048576) (i32.const 120) (i32.const 57671680))
;;@map-batch
    (local.set $row (i32.const 64))
    (loop $flood
      (call $log (i32.const 1) (i32.const 1048576) (i32.const 1024))
      (local.set $row (i32.sub (local.get $row) (i32.const 1)))
      (br_if $flood (local.get $row)))
    (local.set $row (i32.const 100000000))
    (loop $next
      (local.set $row (i32.sub (local.get $row) (i32.const 1)))
      (br_if $next (local.get $row)))
