;; Gives up on a row whose first cell holds an exclamation mark, and on no other.
;;@map-batch
    (local.set $row (i32.const 0))
    (block $clean
      (loop $look
        (br_if $clean (i32.eq (local.get $row) (i32.load offset=12 (local.get $columns))))
        (if
          (i32.eq (i32.const 33) (i32.load8_u (i32.add (i32.load offset=8 (local.get $columns)) (local.get $row))))
          (then unreachable))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $look)))
