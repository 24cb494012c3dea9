;; Returns neither of the two cases that a result has.
;;@map-batch
    (i32.store8 (i32.const 512) (i32.const 7))
