;; Its identifier's offsets fall, and go beyond the text.
;;@map-batch
    (i32.store (i32.add (i32.load (local.get $columns)) (i32.const 4)) (i32.const 1000000))
