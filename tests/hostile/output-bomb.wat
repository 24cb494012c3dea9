;; Returns 20 identifier columns that are all the same 50 MiB: a gigabyte once it is copied out.
;;@map-batch
    (drop (memory.grow (i32.const 800)))
    (local.set $row (i32.const 0))
    (loop $next
      ;; Each column, of 28 bytes: two offsets at 640, the bytes from 262144 on.
      (i32.store (i32.add (i32.const 8192) (i32.mul (local.get $row) (i32.const 28))) (i32.const 640))
      (i32.store (i32.add (i32.const 8196) (i32.mul (local.get $row) (i32.const 28))) (i32.const 2))
      (i32.store (i32.add (i32.const 8200) (i32.mul (local.get $row) (i32.const 28))) (i32.const 262144))
      (i32.store (i32.add (i32.const 8204) (i32.mul (local.get $row) (i32.const 28))) (i32.const 52428800))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $row) (i32.const 20))))
    (i32.store (i32.const 524) (i32.const 8192))
    (i32.store (i32.const 528) (i32.const 20))
