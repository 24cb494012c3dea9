;; Has one value less than records.
;;@map-batch
    (i32.store (i32.const 776) (i32.sub (local.get $rows) (i32.const 1)))
