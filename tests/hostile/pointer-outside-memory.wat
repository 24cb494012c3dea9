;; Says that its records' rows lie where it has no memory.
;;@map-batch
    (i32.store (i32.const 516) (i32.const 0xfffffff0))
