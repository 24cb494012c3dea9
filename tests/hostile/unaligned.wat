;; Says that its records' rows begin in the middle of a number.
;;@map-batch
    (i32.store (i32.const 516) (i32.add (local.get $numbers) (i32.const 1)))
