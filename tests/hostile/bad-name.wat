;; The name of its field is not UTF-8.
;;@open
    (i32.store8 (i32.const 16) (i32.const 255))
