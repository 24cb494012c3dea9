;; Writes a line that is not UTF-8.
;;@map-batch
    (i32.store8 (i32.const 8192) (i32.const 255))
    (call $log (i32.const 1) (i32.const 8192) (i32.const 1))
