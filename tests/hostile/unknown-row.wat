;; Makes a record of a row that it never got.
;;@map-batch
    (i32.store (local.get $numbers) (i32.const 4000000000))
