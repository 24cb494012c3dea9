;; Says which of its values count in a bitmap that has no bytes.
;;@map-batch
    (i32.store8 (i32.const 796) (i32.const 1))
