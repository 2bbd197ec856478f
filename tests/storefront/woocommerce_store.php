<?php
/**
 * A made-up WooCommerce shop for `php -S`: the snippet in its pages, the Store API's cart, both checkouts.
 *
 * Environment: SNIPPET the file; FOLDER where sessions and orders are kept; SPRII the address of Sprii's script.
 * Each look at the cart gives a new nonce, and only the newest is good.
 */

$path = parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH );
if ( '/favicon.ico' === $path ) {
	http_response_code( 204 );
	return true;
}

require __DIR__ . '/woocommerce_stub.php';

final class Kept_Session extends Cookie_Session {
	public $id;

	public function __construct() {
		$this->id     = $_COOKIE['wp_woocommerce_session'] ?? bin2hex( random_bytes( 8 ) );
		$this->exists = isset( $_COOKIE['wp_woocommerce_session'] );
		$this->kept   = remembered( "session-$this->id" ) ?? array();
	}

	public function set_customer_session_cookie( $set ) {
		parent::set_customer_session_cookie( $set );
		setcookie( 'wp_woocommerce_session', $this->id, 0, '/', '', false, true );
	}

	public function save() {
		if ( $this->exists ) {
			remember( "session-$this->id", $this->kept );
		}
	}
}

function remembered( $name ) {
	$file = getenv( 'FOLDER' ) . "/$name.json";
	return is_file( $file ) ? json_decode( file_get_contents( $file ), true ) : null;
}

function remember( $name, $value ) {
	file_put_contents( getenv( 'FOLDER' ) . "/$name.json", json_encode( $value ) );
}

function answer( $value, $status = 200 ) {
	http_response_code( $status );
	header( 'Content-Type: application/json' );
	$nonce = bin2hex( random_bytes( 5 ) );
	remember( 'nonce', $nonce );
	header( "Nonce: $nonce" );
	echo json_encode( $value );
}

function cart() {
	$extensions = array();
	foreach ( Stub::$data['cart'] as $namespace => $given ) {
		$extensions[ $namespace ] = call_user_func( $given['data_callback'] );
	}
	return array( 'items' => WC()->session->get( 'cart', array() ), 'extensions' => $extensions );
}

function extensions() {
	$failures = remembered( 'failures' ) ?? array();
	if ( $failures ) {
		$status = array_shift( $failures );
		remember( 'failures', $failures );
		return answer( array( 'code' => 'made_up' ), $status );
	}
	if ( ( $_SERVER['HTTP_NONCE'] ?? '' ) !== remembered( 'nonce' ) ) {
		return answer( array( 'code' => 'woocommerce_rest_invalid_nonce' ), 403 );
	}
	$given = json_decode( file_get_contents( 'php://input' ), true );
	if ( ! isset( Stub::$updates[ $given['namespace'] ] ) ) {
		return answer( array( 'code' => 'woocommerce_rest_cart_extensions_error' ), 400 );
	}
	call_user_func( Stub::$updates[ $given['namespace'] ], $given['data'] );
	answer( cart() );
}

function add() {
	WC()->session->set( 'cart', array_merge( WC()->session->get( 'cart', array() ), array( 'one' ) ) );
	WC()->session->set_customer_session_cookie( true );
	answer( cart() );
}

function checkout( $kind ) {
	$order = new Stub_Order();
	if ( 'classic' === $kind ) {
		do_action( 'woocommerce_checkout_create_order', $order, array() );
		$order->save();
		do_action( 'woocommerce_checkout_order_processed', 1, array(), $order );
	} else {
		$order->save();
		$before = $order->saved;
		do_action( 'woocommerce_store_api_checkout_update_order_meta', $order );
		if ( $order->saved === $before ) {
			$order->meta = array(); // not saved, so lost
		}
		do_action( 'woocommerce_store_api_checkout_order_processed', $order );
	}
	WC()->session->set( 'cart', array() );
	remember( 'orders', array_merge( remembered( 'orders' ) ?? array(), array( (object) $order->meta ) ) );
	echo '<!doctype html><title>Thank you</title><h1>Thank you</h1>';
}

function page() {
	$own = <<<'JS'
(window.onSpriiReady = window.onSpriiReady || []).push(function (sdk) {
  async function fill(payload) {
    for (const product of payload.products || []) await fetch('/add', { method: 'POST' });
    return { status: sdk.actionStatuses.SUCCESS, message: 'filled by the shop' };
  }
  sdk.registerAction(sdk.actions.SOME_CHECKOUT, fill);
  sdk.registerAction(sdk.actions.UPDATE_CART_CONTENTS, fill);
});
JS;
	echo '<!doctype html><html lang="en"><head><title>E-book</title>';
	do_action( 'wp_head' );
	echo "<script>$own</script><script src=\"" . getenv( 'SPRII' ) . '/sdk.js"></script>';
	echo '</head><body><h1>E-book</h1><p>80.00 DKK</p></body></html>';
}

stub_woocommerce( new Kept_Session() );
do_action( 'woocommerce_blocks_loaded' );
require getenv( 'SNIPPET' ); // as a theme's: after WooCommerce
remember( 'paths', array_merge( remembered( 'paths' ) ?? array(), array( $path ) ) );

ob_start(); // cookies may be set until the end
switch ( $path ) {
	case '/':
		page();
		break;
	case '/wp-json/wc/store/v1/cart':
		answer( cart() );
		break;
	case '/wp-json/wc/store/v1/cart/extensions':
		extensions();
		break;
	case '/add':
		add();
		break;
	case '/checkout':
		checkout( $_GET['kind'] );
		break;
	default:
		http_response_code( 404 );
}
WC()->session->save();
ob_end_flush();
return true;
