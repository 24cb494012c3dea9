;; Fails the file with a message that would repaint a terminal, and with a code that is none.
;;@module
  (data (i32.const 1024) "\1b[2J\1b[31mpwned")
;;@map-batch
    (i32.store (i32.const 512) (i32.const 1))
    (i32.store (i32.const 516) (i32.const 1024))
    (i32.store (i32.const 520) (i32.const 14))
    (i32.store (i32.const 524) (i32.const 1024))
    (i32.store (i32.const 528) (i32.const 14))
    (i64.store (i32.const 532) (i64.const 0))
    (i64.store (i32.const 540) (i64.const 0))
