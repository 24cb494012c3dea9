;; Two functions call each other through a table until the stack ends.
;;@module
  (table $turns funcref (elem $ping $pong))
  (type $turn (func (param i64) (result i64)))
  (func $ping (type $turn)
    (i64.add (i64.const 1) (call_indirect $turns (type $turn) (local.get 0) (i32.const 1))))
  (func $pong (type $turn)
    (i64.add (i64.const 1) (call_indirect $turns (type $turn) (local.get 0) (i32.const 0))))
;;@map-batch
    (drop (call $ping (i64.const 0)))
