/**/ typeof callback === 'function' && callback([{"transaction":{"order_id":"P-1","ordered_on":"2026-01-02T03:04:05Z","order_total":"20.50","status":"fulfilled"},"billing":{"email":"ann@example.com"},"products":[{"product_id":"b-1","title":"Boots","price":"20.50","quantity":1}]},
{"transaction":{"cart_id":"P-2","ordered_on":"2026-01-03","order_total":7}}]);
window.orders = [{"transaction":{"order_id":"P-3","ordered_on":1767323045,"order_total":1}}];
